"""Scores of single objects: label maps (H, W) of integers, 0 the background, each other number one object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segdiff.errors import ShapeError
from segdiff.metrics.calibration import ece

MATCH = 0.5  # IoU above which two objects are one; above one half each object has at most one partner


@dataclass(frozen=True)
class Overlaps:
    """How the objects of two label maps lie on each other; objects are numbered anew from 0, in order.

    Attributes:
        pred, target: area of each object in pixels.
        rows, columns: numbers of the pairs of a predicted and a true object that share pixels.
        shared: pixels that each pair shares.
    """

    pred: NDArray[np.int64]
    target: NDArray[np.int64]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    shared: NDArray[np.int64]

    @property
    def iou(self) -> NDArray[np.float64]:
        """Of each pair."""
        return self.shared / (self.pred[self.rows] + self.target[self.columns] - self.shared)


def overlaps(pred: ArrayLike, target: ArrayLike) -> Overlaps:
    """Count pixels. ShapeError for maps of two sizes."""
    one, other = np.asarray(pred), np.asarray(target)
    if one.shape != other.shape:
        raise ShapeError(f"label maps of {one.shape} and {other.shape} do not go together")
    areas, numbers = [], []
    for labels in (one, other):
        values, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
        background = int(values.size > 0 and values[0] == 0)
        areas.append(counts[background:])
        numbers.append(places.ravel() - background)  # -1: background
    both = (numbers[0] >= 0) & (numbers[1] >= 0)
    pairs, shared = np.unique(numbers[0][both] * max(areas[1].size, 1) + numbers[1][both], return_counts=True)
    rows, columns = np.divmod(pairs, max(areas[1].size, 1))
    return Overlaps(areas[0], areas[1], rows, columns, shared)


def aji(pred: ArrayLike, target: ArrayLike) -> float:
    """Aggregated Jaccard index, in [0, 1]; nan where neither map has an object.

    Each true object is laid beside the predicted one of the largest IoU; shared pixels are summed over united ones, to
    which the pixels of predicted objects that were never chosen are added. As in the definition a predicted object may
    be chosen more than once.

    Source: Kumar et al. 2017, IEEE TMI 36(7), algorithm 1.
    """
    found = overlaps(pred, target)
    if not found.pred.size and not found.target.size:
        return float("nan")
    order = np.lexsort((found.rows, -found.iou))  # best first; of equal ones the first predicted
    columns, first = np.unique(found.columns[order], return_index=True)
    best = order[first]
    chosen, shared = found.rows[best], found.shared[best]
    united = (found.pred[chosen] + found.target[columns] - shared).sum()
    missed = np.delete(found.target, columns).sum()
    alone = np.delete(found.pred, np.unique(chosen)).sum()
    return float(shared.sum() / (united + missed + alone))


def panoptic(pred: ArrayLike, target: ArrayLike) -> dict[str, float]:
    """ "pq", and its parts "dq" (F1 of detection) and "sq" (mean IoU of the matched pairs), each in [0, 1].

    nan where neither map has an object; sq is nan where nothing matches.

    Source: Kirillov et al. 2019, arXiv:1801.00868, eq. 1.
    """
    found = overlaps(pred, target)
    matched = found.iou[found.iou > MATCH]
    objects = (found.pred.size + found.target.size) / 2
    if not objects:
        return {"pq": float("nan"), "dq": float("nan"), "sq": float("nan")}
    sq = float(matched.mean()) if matched.size else float("nan")
    return {"pq": float(matched.sum() / objects), "dq": float(matched.size / objects), "sq": sq}


def pq(pred: ArrayLike, target: ArrayLike) -> float:
    """Panoptic quality: see `panoptic`."""
    return panoptic(pred, target)["pq"]


def dq(pred: ArrayLike, target: ArrayLike) -> float:
    """Detection quality, the F1 of objects at an IoU above 0.5: see `panoptic`."""
    return panoptic(pred, target)["dq"]


def matched(pred: ArrayLike, target: ArrayLike) -> NDArray[np.bool_]:
    """Which predicted objects, in the order of their numbers, are true ones: IoU above 0.5."""
    found = overlaps(pred, target)
    right = np.zeros(found.pred.size, dtype=bool)
    right[found.rows[found.iou > MATCH]] = True
    return right


def ece_objects(pred: ArrayLike, target: ArrayLike, confidence: ArrayLike) -> float:
    """Expected calibration error of the confidence in each predicted object, in order; nan without objects."""
    right = matched(pred, target)
    return ece(confidence, right) if right.size else float("nan")
