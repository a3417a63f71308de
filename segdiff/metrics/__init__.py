"""Scores of arrays."""

from segdiff.metrics.boundary import boundary_f, hausdorff_95, surface_dice
from segdiff.metrics.calibration import brier, ece, ece_boundary, nll, reliability
from segdiff.metrics.conformal import ConformalFit, fit_conformal, held_out_coverage
from segdiff.metrics.doubt import diversity, error_auroc
from segdiff.metrics.instances import aji, dq, ece_objects, pq
from segdiff.metrics.intervals import bootstrap_interval, bootstrap_ratio_interval
from segdiff.metrics.mask_numbers import (
    area_coverage,
    area_crps,
    chain_error,
    count_coverage,
    count_crps,
    image_dispersion,
)
from segdiff.metrics.overlap import dice, iou, precision, recall
from segdiff.metrics.predictive import coverage, crps, sample_interval
from segdiff.metrics.published import fbound_published, wcov_published
from segdiff.metrics.raters import ged, ged_floor, hm_iou, rater_scores
from segdiff.metrics.sample_dispersion import dispersion, dispersion_interval, sample_distances
from segdiff.metrics.shared_threshold import threshold_samples, threshold_sweep
from segdiff.metrics.table import METRICS, Metric, Scoring

__all__ = [
    "METRICS",
    "ConformalFit",
    "Metric",
    "Scoring",
    "aji",
    "area_coverage",
    "area_crps",
    "bootstrap_interval",
    "bootstrap_ratio_interval",
    "boundary_f",
    "brier",
    "chain_error",
    "count_coverage",
    "count_crps",
    "coverage",
    "crps",
    "dice",
    "dispersion",
    "dispersion_interval",
    "diversity",
    "dq",
    "ece",
    "ece_boundary",
    "ece_objects",
    "error_auroc",
    "fbound_published",
    "fit_conformal",
    "ged",
    "ged_floor",
    "hausdorff_95",
    "held_out_coverage",
    "hm_iou",
    "image_dispersion",
    "iou",
    "nll",
    "pq",
    "precision",
    "rater_scores",
    "recall",
    "reliability",
    "sample_distances",
    "sample_interval",
    "surface_dice",
    "threshold_samples",
    "threshold_sweep",
    "wcov_published",
]
