"""Masks drawn from a probability map by one threshold for all pixels: {p > u}, u uniform in (0, 1).

Each pixel is foreground with its probability, and all pixels go together as far as they can: the masks are nested.
Where raters differ by how far they draw a boundary that is nearly their joint law; where objects are there or not each
by itself, counts and areas of such masks are too widely spread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segdiff.errors import ConfigError

SWEEP = 19  # thresholds: a 90 % interval lies between the smallest and the largest of 19


def even_thresholds(count: int = SWEEP) -> NDArray[np.float64]:
    """Give the thresholds k / (count + 1), k = 1 .. count.

    They stand for uniform draws without their noise: any interval between two of them covers the share of (0, 1) that
    order statistics promise, and the mean difference of two is 1/3, as of two draws.

    Raises:
        ConfigError: fewer than one.
    """
    if count < 1:
        raise ConfigError(f"{count} thresholds: at least one is needed")
    return np.arange(1, count + 1) / (count + 1)


def threshold_samples(probability: ArrayLike, thresholds: ArrayLike | None = None) -> NDArray[np.bool_]:
    """Draw one mask for each threshold.

    Args:
        probability: (H, W), in [0, 1].
        thresholds: (K,), in [0, 1]; None: `even_thresholds()`.
    Returns:
        bool (K, H, W), in the order of the thresholds.
    """
    return np.stack(list(_masks(probability, thresholds)))


def threshold_sweep(
    probability: ArrayLike, measure: Callable[[NDArray[np.bool_]], float], thresholds: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Measure the mask of each threshold, such as its area or the number of its objects: (K,).

    One mask is kept at a time, so that large pictures need no more memory. Arguments as `threshold_samples`.
    """
    return np.array([float(measure(mask)) for mask in _masks(probability, thresholds)])


def _masks(probability: ArrayLike, thresholds: ArrayLike | None) -> Iterator[NDArray[np.bool_]]:
    p = np.asarray(probability)
    chosen = even_thresholds() if thresholds is None else np.asarray(thresholds, dtype=np.float64)
    return (p > threshold for threshold in chosen)
