"""How sure a mean over images is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from segdiff.errors import ShapeError

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
    return _percentiles([array[chosen].mean(1) for chosen in _resamples(array.size, draws, seed)])


def bootstrap_ratio_interval(
    numerators: Sequence[float], denominators: Sequence[float], draws: int = DRAWS, seed: int = 0
) -> tuple[float, float] | None:
    """Give the 95 % percentile interval of a ratio of two means, by the same bootstrap: both of the same images.

    Args:
        numerators, denominators: one of each image, in one order, finite, 0 or more.
        draws, seed: of the bootstrap.
    Returns:
        (low, high), infinite where a resample has denominators of 0 only; None for fewer than two images, or where all
        denominators are 0.
    Raises:
        ShapeError: the two differ in length.
    """
    above, below = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    if above.shape != below.shape:
        raise ShapeError(f"{above.size} numerators and {below.size} denominators do not go together")
    if above.size < 2 or not below.any():
        return None
    ratios = []
    for chosen in _resamples(above.size, draws, seed):
        sums = below[chosen].sum(1)
        ratios.append(np.divide(above[chosen].sum(1), sums, out=np.full_like(sums, np.inf), where=sums > 0))
    return _percentiles(ratios)


def _resamples(size: int, draws: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Blocks of rows of indices of images, each row a resample."""
    generator, rows = np.random.default_rng(seed), max(1, BLOCK // size)
    for done in range(0, draws, rows):
        yield generator.integers(0, size, (min(rows, draws - done), size))


def _percentiles(blocks: list[NDArray[np.float64]]) -> tuple[float, float]:
    found = np.concatenate(blocks)
    # Infinite ratios must not be interpolated: that would give nan.
    low_method, high_method = ("linear", "linear") if np.isfinite(found).all() else ("lower", "higher")
    low, high = np.percentile(found, 2.5, method=low_method), np.percentile(found, 97.5, method=high_method)  # type: ignore[call-overload]
    return float(low), float(high)
