"""Overlap of two binary masks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segdiff.errors import ShapeError


def dice(pred: ArrayLike, target: ArrayLike) -> float:
    """2 TP / (2 TP + FP + FN) of the foreground (non-zero pixels), which is also F1.

    Args:
        pred, target: binary arrays of the same shape.
    Returns:
        In [0, 1]; 0 where both are empty, as published.
    Raises:
        ShapeError: the shapes differ.
    """
    inside, pred_area, target_area = _areas(pred, target)
    total = pred_area + target_area
    return 2 * inside / total if total else 0.0


def iou(pred: ArrayLike, target: ArrayLike) -> float:
    """TP / (TP + FP + FN) of the foreground (Jaccard index); arguments, empty masks and errors as `dice`."""
    inside, pred_area, target_area = _areas(pred, target)
    union = pred_area + target_area - inside
    return inside / union if union else 0.0


def _areas(pred: ArrayLike, target: ArrayLike) -> tuple[int, int, int]:
    p: NDArray[Any] = np.asarray(pred) != 0
    t: NDArray[Any] = np.asarray(target) != 0
    if p.shape != t.shape:
        raise ShapeError(f"prediction {p.shape} and target {t.shape} differ in shape")
    return int(np.count_nonzero(p & t)), int(np.count_nonzero(p)), int(np.count_nonzero(t))
