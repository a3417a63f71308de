"""Overlap of two binary masks: their foregrounds, the non-zero pixels."""

from __future__ import annotations

from numpy.typing import ArrayLike

from segdiff.metrics.masks import pair


def dice(pred: ArrayLike, target: ArrayLike) -> float:
    """2 TP / (2 TP + FP + FN), which is also F1.

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
    """TP / (TP + FP + FN) (Jaccard index); arguments, empty masks and errors as `dice`."""
    inside, pred_area, target_area = _areas(pred, target)
    union = pred_area + target_area - inside
    return inside / union if union else 0.0


def precision(pred: ArrayLike, target: ArrayLike) -> float:
    """TP / (TP + FP): the share of the prediction that is right; 0 where nothing is predicted. Else as `dice`."""
    inside, pred_area, _ = _areas(pred, target)
    return inside / pred_area if pred_area else 0.0


def recall(pred: ArrayLike, target: ArrayLike) -> float:
    """TP / (TP + FN): the share of the target that is found; 0 where there is nothing to find. Else as `dice`."""
    inside, _, target_area = _areas(pred, target)
    return inside / target_area if target_area else 0.0


def _areas(pred: ArrayLike, target: ArrayLike) -> tuple[int, int, int]:
    """Pixels of both, of the prediction, of the target."""
    p, t = pair(pred, target)
    return int((p & t).sum()), int(p.sum()), int(t.sum())
