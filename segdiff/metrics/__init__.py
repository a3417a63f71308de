"""Scores of arrays."""

from segdiff.metrics.boundary import boundary_f, hausdorff_95, surface_dice
from segdiff.metrics.calibration import brier, ece, ece_boundary, nll, reliability
from segdiff.metrics.doubt import diversity, error_auroc
from segdiff.metrics.instances import aji, dq, ece_objects, pq
from segdiff.metrics.intervals import bootstrap_interval
from segdiff.metrics.overlap import dice, iou, precision, recall
from segdiff.metrics.published import fbound_published, wcov_published
from segdiff.metrics.table import METRICS, Metric, Scoring

__all__ = [
    "METRICS",
    "Metric",
    "Scoring",
    "aji",
    "bootstrap_interval",
    "boundary_f",
    "brier",
    "dice",
    "diversity",
    "dq",
    "ece",
    "ece_boundary",
    "ece_objects",
    "error_auroc",
    "fbound_published",
    "hausdorff_95",
    "iou",
    "nll",
    "pq",
    "precision",
    "recall",
    "reliability",
    "surface_dice",
    "wcov_published",
]
