"""Scores of arrays."""

from segdiff.metrics.overlap import dice, iou

__all__ = ["dice", "iou"]
