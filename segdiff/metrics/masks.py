"""What every metric does first."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segdiff.errors import ShapeError


def pair(pred: ArrayLike, target: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Both masks as bool: non-zero is foreground.

    Raises:
        ShapeError: the shapes differ.
    """
    p, t = np.asarray(pred) != 0, np.asarray(target) != 0
    if p.shape != t.shape:
        raise ShapeError(f"prediction {p.shape} and target {t.shape} differ in shape")
    return p, t


def plane_pair(pred: ArrayLike, target: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """As `pair`, of masks (H, W) only.

    Raises:
        ShapeError: the shapes differ, or are not of a plane.
    """
    p, t = pair(pred, target)
    if p.ndim != 2:
        raise ShapeError(f"this metric is of masks (height, width), not of an array {p.shape}")
    return p, t
