"""How sure a mean over images is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DRAWS = 10_000
BLOCK = 5_000_000  # numbers drawn at a time, so that memory stays small for many images


def bootstrap_interval(values: Sequence[float], draws: int = DRAWS, seed: int = 0) -> tuple[float, float] | None:
    """The 95 % percentile interval of a mean by bootstrap over images (Efron 1979).

    It says how sure the mean is over images like these; nothing of how a second training would come out.

    Args:
        values: one of each image, finite.
        draws, seed: of the bootstrap.
    Returns:
        (low, high); None for fewer than two images.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size < 2:
        return None
    generator, rows = np.random.default_rng(seed), max(1, BLOCK // array.size)
    means = [
        array[generator.integers(0, array.size, (min(rows, draws - done), array.size))].mean(1)
        for done in range(0, draws, rows)
    ]
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)
