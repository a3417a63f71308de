"""Scores of the area and the count of sampled masks beside those of the truth, and of how different the masks are.

Samples are what chains give, or masks by other thresholds. Of 19 samples or more the 90 % interval is meant, of fewer
the one from the smallest to the largest, which K samples of the right law cover with (K - 1) / (K + 1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from segdiff.metrics.predictive import LEVEL, coverage, crps, least_samples
from segdiff.metrics.sample_dispersion import sample_distances

CHAIN = 0.5  # a pixel of a chain above it is foreground


def area_crps(areas: ArrayLike, target: ArrayLike) -> float:
    """Compute the `crps` of areas (K,) in pixels beside the true mask (H, W), as a share of the picture."""
    y = np.asarray(target) != 0
    return float(crps(np.asarray(areas, np.float64) / y.size, y.mean()))


def area_coverage(areas: ArrayLike, target: ArrayLike) -> float:
    """Say whether the interval of areas (K,) in pixels holds that of the true mask (H, W); nan of a single one."""
    return _covers(areas, float((np.asarray(target) != 0).sum()))


def count_crps(counts: ArrayLike, labels: ArrayLike) -> float:
    """Compute the `crps` of counts (K,) beside the number of objects in a label map (H, W)."""
    return float(crps(counts, _objects(labels)))


def count_coverage(counts: ArrayLike, labels: ArrayLike) -> float:
    """Say whether the interval of counts (K,) holds the number of objects of a label map (H, W); nan of one count."""
    return _covers(counts, _objects(labels))


def chain_error(chains: ArrayLike, target: ArrayLike) -> float:
    """Compute the mean of 1 - Dice between chains (K, H, W) in [0, 1] and the true mask (H, W), binary.

    Two empty masks are alike, as in `diversity`.
    """
    return sample_distances(np.asarray(chains) > CHAIN, np.asarray(target)[None])[1]


def image_dispersion(chains: ArrayLike, target: ArrayLike) -> float:
    """Divide `diversity` of chains (K, H, W) by their `chain_error`: `segdiff.metrics.dispersion` of one image.

    nan of a single chain, and where all chains equal the true mask (H, W). Over images it is the ratio of the means,
    which is the mean of these weighted by `chain_error`.
    """
    within, between = sample_distances(np.asarray(chains) > CHAIN, np.asarray(target)[None])
    return within / between if between > 0 else float("nan")


def _covers(samples: ArrayLike, truth: float) -> float:
    x = np.asarray(samples, dtype=np.float64)
    if x.size < 2:
        return float("nan")
    return float(coverage(x, truth, LEVEL if x.size >= least_samples(LEVEL) else None))


def _objects(labels: ArrayLike) -> int:
    found = np.unique(labels)
    return int((found > 0).sum())
