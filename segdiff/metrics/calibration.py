"""Whether probabilities mean what they say: pixels called object with 0.8 should be object four times in five.

Probabilities are of the object, float (H, W) in [0, 1]; targets binary (H, W). Bins are of equal width over [0, 1].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segdiff.errors import ShapeError

BINS = 15
BAND = 5  # pixels on either side of the target's boundary
LEAST = 1e-6  # a probability of 0 or 1 that is wrong would cost infinitely much


def ece(probability: ArrayLike, target: ArrayLike, bins: int = BINS) -> float:
    """Expected calibration error: |mean probability - share of object| of each bin, weighted by its pixels; in [0, 1].

    Source: Naeini et al. 2015 (AAAI), for the probability of the object, over all pixels of an image.
    """
    return _gap(reliability(probability, target, bins))


def ece_boundary(probability: ArrayLike, target: ArrayLike, bins: int = BINS, band: int = BAND) -> float:
    """`ece` of the pixels within `band` of the target's boundary only; nan where there is none."""
    p, y = _pair(probability, target)
    near = boundary_band(y, band)
    return _gap(reliability(p[near], y[near], bins)) if near.any() else float("nan")


def brier(probability: ArrayLike, target: ArrayLike) -> float:
    """The mean squared difference of probability and target, in [0, 1] (Brier 1950)."""
    p, y = _pair(probability, target)
    return float(np.mean((p - y) ** 2))


def nll(probability: ArrayLike, target: ArrayLike) -> float:
    """The mean negative log-likelihood in nats; probabilities are held in [1e-6, 1 - 1e-6]."""
    p, y = _pair(probability, target)
    p = p.clip(LEAST, 1 - LEAST)
    return float(-np.mean(np.where(y, np.log(p), np.log1p(-p))))


def reliability(probability: ArrayLike, target: ArrayLike, bins: int = BINS) -> NDArray[np.float64]:
    """What a reliability diagram shows: (bins, 3): pixels, sum of their probabilities, how many are object.

    Tables of several images add up.
    """
    p, y = _pair(probability, target)
    place = np.minimum((p.ravel() * bins).astype(np.int64), bins - 1)
    sums = [np.bincount(place, weights, bins) for weights in (None, p.ravel(), y.ravel().astype(np.float64))]
    return np.column_stack(sums).astype(np.float64)


def boundary_band(target: ArrayLike, band: int = BAND) -> NDArray[np.bool_]:
    """The pixels no further than `band` (centre to centre) from one of the other kind; none where all are alike."""
    from scipy.ndimage import distance_transform_edt

    y = np.asarray(target) != 0
    if y.all() or not y.any():
        return np.zeros(y.shape, dtype=bool)
    return np.where(y, distance_transform_edt(y), distance_transform_edt(~y)) <= band


def _gap(table: NDArray[np.float64]) -> float:
    return float(np.abs(table[:, 1] - table[:, 2]).sum() / max(table[:, 0].sum(), 1))


def _pair(probability: ArrayLike, target: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    p, y = np.asarray(probability, dtype=np.float64), np.asarray(target) != 0
    if p.shape != y.shape:
        raise ShapeError(f"probability {p.shape} and target {y.shape} differ in shape")
    return p, y
