"""All metrics by name: one table, to which a user's own code may add."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from segdiff.errors import ConfigError
from segdiff.metrics.boundary import boundary_f, hausdorff_95, surface_dice
from segdiff.metrics.calibration import brier, ece, ece_boundary, nll
from segdiff.metrics.doubt import diversity, error_auroc, margin_doubt
from segdiff.metrics.instances import aji, dq, ece_objects, pq
from segdiff.metrics.mask_numbers import (
    area_coverage,
    area_crps,
    chain_error,
    count_coverage,
    count_crps,
    image_dispersion,
)
from segdiff.metrics.overlap import dice, iou, precision, recall
from segdiff.metrics.published import fbound_published, wcov_published

UNITS = ("px", "um")
MASKS = ("mask", "instances")  # what is needed that masks made by any tool have
COUNTS = ("chain_counts", "threshold_counts")
OBJECTS = ("instances", "confidence", *COUNTS)  # what needs a truth that tells objects apart
RATER_SCORES = {  # names of metrics -> of what `rater_scores` gives, and whether more is better
    "ged": ("ged", False),
    "ged_floor": ("ged_floor", False),
    "ged_unbiased": ("ged_unbiased", False),
    "hm_iou": ("hm_iou", True),
    "d_max": ("d_max", True),
    "sample_diversity": ("diversity", True),
    "rater_diversity": ("rater_diversity", True),
    "marginal_brier": ("marginal_brier", False),
    "marginal_nll": ("marginal_nll", False),
    "empty_brier": ("empty_brier", False),
    "empty_brier_fair": ("empty_brier_fair", False),
}
# What is given where images have several raters; "raters" stands for them.
OF_RATERS = (*RATER_SCORES, "area_crps_chains", "area_coverage_chains")


@dataclass(frozen=True)
class Metric:
    """A score of a mask, or of what a model says beside it.

    Attributes:
        function: (pred, target, ...) to a float; nan where it has no value. Of a metric that `needs` something, that
            takes the place of the mask; a function of doubts is given (doubt, wrong pixels), one of chains these alone.
        higher_is_better: what is good.
        tolerance: whether it takes `tolerance` and `spacing`.
        distance: whether it takes `spacing` and gives a length.
        needs: "mask"; "instances", objects told apart; or what only a model gives: "probability", "raw_probability"
            (before its temperature), "margin" (doubt by the probability), "uncertainty" (doubt by the chains),
            "chains", "samples" (chains, beside the truth), "confidence" (in each object), and samples of a number:
            "chain_areas", "threshold_areas" (by other thresholds), "chain_counts", "threshold_counts"; or
            "rater_scores", what `segdiff.metrics.raters.rater_scores` gives of chains beside the masks of all raters.
        weight: another metric, by which images are weighted in the mean; it becomes a column, too.
    """

    function: Callable[..., float]
    higher_is_better: bool = True
    tolerance: bool = False
    distance: bool = False
    needs: str = "mask"
    weight: str | None = None


def _of_rater_scores(name: str, found: Mapping[str, float]) -> float:
    return found[name]


METRICS = {
    "dice": Metric(dice),
    "iou": Metric(iou),
    "precision": Metric(precision),
    "recall": Metric(recall),
    "boundary_f": Metric(boundary_f, tolerance=True),
    "surface_dice": Metric(surface_dice, tolerance=True),
    "hausdorff_95": Metric(hausdorff_95, higher_is_better=False, distance=True),
    "wcov_published": Metric(wcov_published),
    "fbound_published": Metric(fbound_published),
    "ece": Metric(ece, higher_is_better=False, needs="probability"),
    "ece_raw": Metric(ece, higher_is_better=False, needs="raw_probability"),
    "ece_boundary": Metric(ece_boundary, higher_is_better=False, needs="probability"),
    "ece_boundary_raw": Metric(ece_boundary, higher_is_better=False, needs="raw_probability"),
    "brier": Metric(brier, higher_is_better=False, needs="probability"),
    "nll": Metric(nll, higher_is_better=False, needs="probability"),
    "error_auroc_margin": Metric(error_auroc, needs="margin"),
    "error_auroc_chains": Metric(error_auroc, needs="uncertainty"),
    "aji": Metric(aji, needs="instances"),
    "pq": Metric(pq, needs="instances"),
    "dq": Metric(dq, needs="instances"),
    "ece_objects": Metric(ece_objects, higher_is_better=False, needs="confidence"),
    "diversity": Metric(diversity, needs="chains"),
    "chain_error": Metric(chain_error, higher_is_better=False, needs="samples"),
    "dispersion": Metric(image_dispersion, needs="samples", weight="chain_error"),
    "area_crps_chains": Metric(area_crps, higher_is_better=False, needs="chain_areas"),
    "area_crps_threshold": Metric(area_crps, higher_is_better=False, needs="threshold_areas"),
    "area_coverage_chains": Metric(area_coverage, needs="chain_areas"),
    "area_coverage_threshold": Metric(area_coverage, needs="threshold_areas"),
    "count_crps_chains": Metric(count_crps, higher_is_better=False, needs="chain_counts"),
    "count_crps_threshold": Metric(count_crps, higher_is_better=False, needs="threshold_counts"),
    "count_coverage_chains": Metric(count_coverage, needs="chain_counts"),
    "count_coverage_threshold": Metric(count_coverage, needs="threshold_counts"),
    **{
        name: Metric(partial(_of_rater_scores, key), higher_is_better=more, needs="rater_scores")
        for name, (key, more) in RATER_SCORES.items()
    },
}


@dataclass(frozen=True)
class Scoring:
    """Which metrics, and how lengths are measured.

    Args:
        names: keys of `METRICS`.
        tolerance: of boundaries, in `unit`.
        unit: of the tolerance and of all distances: "px" (pixels) or "um" (micrometres).
        both_empty: what two empty masks count in the scores of raters, 0 to 1; `dice` and `iou` have 0, as published.
    Raises:
        ConfigError: a name or unit that is not known, none or one twice, or a tolerance that cannot be.
    """

    names: tuple[str, ...] = ("dice", "iou")
    tolerance: float = 2.0
    unit: str = "px"
    both_empty: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        for name in self.names:
            if name not in METRICS:
                close = difflib.get_close_matches(name, METRICS, n=1)
                hint = f"did you mean {close[0]}? There are" if close else "there are"
                raise ConfigError(f"no metric {name!r}; {hint} {', '.join(METRICS)}")
        if not self.names or len(set(self.names)) < len(self.names):
            raise ConfigError(f"metrics={','.join(self.names)}: give each name once, and one at least")
        if self.unit not in UNITS:
            raise ConfigError(f"unit {self.unit!r} is not known; known: {', '.join(UNITS)}")
        if not 0 <= self.tolerance < float("inf"):
            raise ConfigError(f"tolerance={self.tolerance}: it must be 0 or more")
        if not 0 <= self.both_empty <= 1:
            raise ConfigError(f"both_empty={self.both_empty}: two empty masks count 0 to 1")

    @property
    def measures_length(self) -> bool:
        """Whether tolerance and unit matter to any of the metrics."""
        return any(METRICS[name].tolerance or METRICS[name].distance for name in self.names)

    def check(self, mpp: float | None) -> None:
        """Raise ConfigError where micrometres are asked for and those of a pixel are not known."""
        if self.measures_length and self.unit == "um" and mpp is None:
            raise ConfigError(
                "a tolerance in um needs the micrometres of a pixel, which are not known: give it in px, or them "
                "(--mpp, or --option mpp=... of a folder)"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """The metrics, and after them those that weigh them and are not among them."""
        weights = [METRICS[name].weight for name in self.names]
        return (*self.names, *dict.fromkeys(w for w in weights if w is not None and w not in self.names))

    @property
    def needs(self) -> set[str]:
        """What the metrics need: see `Metric`."""
        return {METRICS[name].needs for name in self.columns}

    @property
    def scores_objects(self) -> bool:
        """Whether the truth must tell objects apart."""
        return bool(self.needs & set(OBJECTS))

    @property
    def scores_raters(self) -> bool:
        """Whether a set of samples is scored beside the masks of several raters."""
        return "rater_scores" in self.needs

    def check_masks_only(self) -> None:
        """Raise ConfigError where a metric needs more than masks."""
        beyond = [name for name in self.names if METRICS[name].needs not in MASKS]
        if beyond:
            raise ConfigError(f"{beyond[0]} needs a model, and cannot be had from masks: use segdiff evaluate")

    def __call__(
        self,
        pred: ArrayLike,
        target: ArrayLike,
        mpp: float | None = None,
        said: Mapping[str, ArrayLike | None] | None = None,
    ) -> dict[str, float]:
        """The scores of a mask (H, W) by name.

        Args:
            pred, target: binary (H, W).
            mpp: micrometres per pixel, needed for the unit "um" only.
            said: what the model says beside the mask: "probability", "raw_probability", "uncertainty" (H, W), "chains"
                (K, H, W), "instances" and "true_instances" (H, W), "confidence" (one of each object, in order), samples
                (K,) of areas in pixels and of counts, and "rater_scores" by name, see `Metric`. A metric of what is
                None (one chain has no uncertainty) is nan.
        Raises:
            ShapeError: the masks do not fit. ConfigError: as `check`, or `said` lacks what a metric needs.
        """
        self.check(mpp)
        said = {} if said is None else said
        spacing = mpp if self.unit == "um" and mpp is not None else 1.0
        scores = {}
        for name in self.columns:
            metric = METRICS[name]
            options: dict[str, float] = {}
            if metric.tolerance or metric.distance:
                options["spacing"] = spacing
            if metric.tolerance:
                options["tolerance"] = self.tolerance
            source = {"margin": "probability", "samples": "chains"}.get(metric.needs, metric.needs)
            if source == "mask":
                scores[name] = float(metric.function(pred, target, **options))
            elif source not in said:
                raise ConfigError(f"{name} needs {source}, which was not given")
            elif (given := said[source]) is None:
                scores[name] = float("nan")
            elif source == "instances":
                scores[name] = float(metric.function(given, said["true_instances"]))
            elif source == "confidence":
                scores[name] = float(metric.function(said["instances"], said["true_instances"], given))
            elif source in ("chains", "rater_scores") and metric.needs == source:
                scores[name] = float(metric.function(given))
            elif source in COUNTS:
                scores[name] = float(metric.function(given, said["true_instances"]))
            elif metric.needs in ("margin", "uncertainty"):
                wrong = (np.asarray(pred) != 0) != (np.asarray(target) != 0)
                doubt = margin_doubt(given) if metric.needs == "margin" else given
                scores[name] = float(metric.function(doubt, wrong))
            else:
                scores[name] = float(metric.function(given, target))
        return scores


def parse_metrics(text: str, masks_only: bool = False) -> tuple[str, ...]:
    """ "dice,iou" to names; "all" to all of them, or all that need nothing but masks; "raters" to those of raters."""
    # Objects and raters are scored when they are asked for: not every truth tells objects apart, or has several raters.
    every = tuple(
        name
        for name, metric in METRICS.items()
        if metric.needs == "mask" or not (masks_only or metric.needs in (*OBJECTS, "rater_scores"))
    )
    if text == "all":
        return every
    names = [name for one in text.split(",") if (name := one.strip())]
    return tuple(found for name in names for found in (OF_RATERS if name == "raters" else (name,)))


def parse_tolerance(text: str) -> tuple[float, str]:
    """ "2px" or "0.5um" to (2.0, "px"), (0.5, "um").

    Raises:
        ConfigError: neither.
    """
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(px|um|µm|μm)", text.strip())
    if found is None:
        raise ConfigError(f"tolerance {text!r}: write a number with its unit, such as 2px or 0.5um")
    return float(found[1]), "px" if found[2] == "px" else "um"


def scoring_of(names: Sequence[str], tolerance: str | None = None) -> Scoring:
    """The scoring of a user's words: names, and a tolerance such as "2px".

    Raises:
        ConfigError: as `Scoring` and `parse_tolerance`.
    """
    return Scoring(tuple(names)) if tolerance is None else Scoring(tuple(names), *parse_tolerance(tolerance))
