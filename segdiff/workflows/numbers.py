"""Area and count of a prediction with intervals, and how these are fitted to pictures whose truth is known.

Chains do not know how sure a number is: theirs are far too alike. What a model's probability says of a number by other
thresholds, and how wrong it was on held-out pictures, does (`segdiff.metrics.conformal`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.datasets.base import Sample
from segdiff.data.objects import numbered
from segdiff.inference.objects import separate
from segdiff.inference.prediction import Prediction
from segdiff.metrics.conformal import ConformalFit, fit_conformal, least_images, log_deviation, log_ratio
from segdiff.metrics.predictive import LEVEL
from segdiff.metrics.shared_threshold import even_thresholds, threshold_sweep

THRESHOLDS = 19  # 90 % lies between the smallest and the largest of 19
# 0.2, 0.4, 0.6, 0.8, for deviations: further out there may be nothing at all, whose logarithm says little of the rest;
# and each tells the picture's objects apart anew.
FEW_THRESHOLDS = 4
VALID_FOR = "for pictures like the model's validation pictures"


@dataclass(frozen=True)
class Estimate:
    """A number of one picture, and how uncertain the picture says that it is (`metrics.conformal.log_deviation`)."""

    value: float
    deviation: float


def area_estimate(prediction: Prediction) -> Estimate:
    """Measure the mask in pixels; its deviation is that of four masks by other thresholds."""
    areas = threshold_areas(prediction, FEW_THRESHOLDS)
    return Estimate(float(prediction.single_mask().sum()), log_deviation(areas))


def count_estimate(prediction: Prediction, labels: NDArray[np.integer] | None = None) -> Estimate:
    """Count the objects; the deviation is that of four masks by other thresholds, each taken apart.

    labels: `prediction.instances()`, where it was computed already.
    """
    found = prediction.instances() if labels is None else labels
    counts = threshold_counts(prediction, FEW_THRESHOLDS)
    return Estimate(float(found.max(initial=0)), log_deviation(counts))


def threshold_areas(prediction: Prediction, thresholds: int = THRESHOLDS) -> NDArray[np.float64]:
    """Measure the mask of each of so many even thresholds in pixels: (thresholds,)."""
    return threshold_sweep(prediction.probability, np.sum, even_thresholds(thresholds))


def threshold_counts(prediction: Prediction, thresholds: int = THRESHOLDS) -> NDArray[np.float64]:
    """Count the objects of the mask of each of so many even thresholds: (thresholds,)."""
    return threshold_sweep(
        prediction.probability,
        lambda mask: float(separate(mask, prediction.core).max(initial=0)),
        even_thresholds(thresholds),
    )


def chain_areas(prediction: Prediction) -> NDArray[np.float64] | None:
    """Measure the mask of each chain in pixels, above its `chain_threshold`: (K,); None unless chains were kept."""
    if prediction.chains is None:
        return None
    return np.array([float((chain > prediction.chain_threshold).sum()) for chain in prediction.chains])


def chain_counts(prediction: Prediction) -> NDArray[np.float64] | None:
    """Count the objects of each chain's own mask, taken apart: (K,); None unless chains were kept."""
    if prediction.chains is None:
        return None
    cores = [None] * len(prediction.chains) if prediction.core_chains is None else prediction.core_chains
    masks = (chain > prediction.chain_threshold for chain in prediction.chains)
    return np.array([float(separate(*one).max(initial=0)) for one in zip(masks, cores, strict=True)])


def intervals_of(prediction: Prediction, labels: NDArray[np.integer] | None = None) -> dict[str, dict[str, Any]]:
    """Give area and count with their intervals, as far as they were fitted.

    Args:
        prediction: of one mask channel, or of mask and core.
        labels: `prediction.instances()`; None leaves the count out.
    Returns:
        By "count" and "area" (pixels): "value", "low", "high", "level". Plain numbers; low and high of a count are
        whole. Empty where nothing was fitted. The interval need not hold the value: of a model that counts too few,
        all of it lies above.
    """
    fitted, found = prediction.conformal, {}
    if fitted.count is not None and labels is not None:
        low, high, value = _interval(fitted.count, count_estimate(prediction, labels))
        whole = (math.ceil(low), math.floor(high))
        low, high = whole if whole[0] <= whole[1] else (round(low), round(high))
        found["count"] = {"value": int(value), "low": int(low), "high": int(high), "level": fitted.level}
    if fitted.area is not None:
        low, high, value = _interval(fitted.area, area_estimate(prediction))
        most = float(prediction.probability.size)
        low, high = (round(min(end, most), 1) for end in (low, high))
        found["area"] = {"value": value, "low": low, "high": high, "level": fitted.level}
    return found


def in_words(numbers: Mapping[str, Mapping[str, Any]]) -> str:
    """Say what `intervals_of` gives: "count 143 (90 %: 118 to 171), area 5120 px (90 %: 4100 to 6300)"."""
    units = {"count": "", "area": " px"}
    return ", ".join(
        f"{name} {one['value']:.0f}{units[name]} ({100 * one['level']:g} %: {one['low']:.0f} to {one['high']:.0f})"
        for name, one in numbers.items()
    )


@dataclass
class NumberCalibration:
    """Collects how far area and count of held-out pictures were off; then intervals are fitted.

    Pictures of several folds, each predicted by the model that has not seen it, may be added: cross-conformal.

    Attributes:
        errors, deviations: by "area" and "count", one of each picture; None in a count where the truth does not tell
            objects apart.
    """

    errors: dict[str, list[float | None]] = field(default_factory=lambda: {"area": [], "count": []})
    deviations: dict[str, list[float]] = field(default_factory=lambda: {"area": [], "count": []})

    def add(self, prediction: Prediction, sample: Sample) -> None:
        """Add a picture, predicted at the threshold and temperature that the intervals are for.

        Of several raters the mean area counts. Models of several masks have neither number, and are left out.
        """
        if prediction.probability.ndim != 2:
            return
        area = area_estimate(prediction)
        self._keep("area", log_ratio(float(sample.mask[:, 0].sum() / len(sample.mask)), area.value), area)
        labels = numbered(sample)
        if labels is None:
            self._keep("count", None, Estimate(0.0, 1.0))
            return
        count = count_estimate(prediction)
        self._keep("count", log_ratio(float(np.unique(labels[labels > 0]).size), count.value), count)

    def _keep(self, name: str, error: float | None, estimate: Estimate) -> None:
        self.errors[name].append(error)
        self.deviations[name].append(estimate.deviation)

    def fit(self, level: float = LEVEL) -> dict[str, Any]:
        """Fit what an artifact stores (`segdiff.inference.options.ConformalSettings`), as plain values.

        "area" or "count" is None where fewer pictures than `least_images` were added, and a count where the truth of
        one of them does not tell objects apart.
        """
        pictures = len(self.errors["area"])
        found: dict[str, Any] = {"level": level, "images": pictures, "area": None, "count": None}
        for name, errors in self.errors.items():
            known = [error for error in errors if error is not None]
            if len(known) == pictures >= least_images(level):
                found[name] = [round(value, 4) for value in fit_conformal(known, self.deviations[name], level)]
        return found


def _interval(fitted: tuple[float, ...], estimate: Estimate) -> tuple[float, float, float]:
    return *ConformalFit(*fitted).interval(estimate.value, estimate.deviation), estimate.value
