"""What all scores of images have in common, whoever made the masks: rows, means with intervals, files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.errors import ShapeError
from segdiff.metrics.intervals import bootstrap_interval, bootstrap_ratio_interval
from segdiff.metrics.table import METRICS, Scoring

FORMAT_VERSION = 2  # of the JSON files; 1 had Dice and IoU alone


def score(
    mask: NDArray[np.bool_],
    truth: NDArray[np.uint8],
    scoring: Scoring,
    mpp: float | None = None,
    said: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The scores of one mask.

    Args:
        mask: bool (H, W), or (M, H, W) for several channels.
        truth: uint8 (R, M, H, W) of 0 and 1, R raters.
        scoring: which metrics.
        mpp: micrometres per pixel, for lengths in micrometres.
        said: what the model says beside the mask (see `Scoring`), (H, W), or (..., M, H, W) for several channels.
    Returns:
        Each metric by its name, the mean over raters and channels, None where it has no value; and "empty" (mask and
        truth are empty everywhere).
    Raises:
        ShapeError: the shapes do not fit. ConfigError: as `Scoring.check`.
    """
    channels = mask if mask.ndim == 3 else mask[None]
    if channels.shape != truth.shape[1:]:
        shapes = f"the mask has {channels.shape}, the truth {truth.shape[1:]}"
        raise ShapeError(f"(channels, rows, columns) must be the same: {shapes}")
    beside = [
        {
            name: array if mask.ndim == 2 or not isinstance(array, np.ndarray) else array[..., m, :, :]
            for name, array in (said or {}).items()
        }
        for m in range(len(channels))
    ]
    found = [
        scoring(channels[m], rater[m], mpp, beside[m] if said is not None else None)
        for rater in truth
        for m in range(len(channels))
    ]
    means = {name: _mean(name, found) for name in scoring.columns}
    values = {name: value if math.isfinite(value) else None for name, value in means.items()}
    return {**values, "empty": not (mask.any() or truth.any())}


def _mean(name: str, found: Sequence[Mapping[str, float]]) -> float:
    """The mean over raters and channels, weighted where the metric is."""
    values = np.array([scores[name] for scores in found])
    weight = METRICS[name].weight
    if weight is None:
        return float(values.mean())
    weights = np.array([scores[weight] for scores in found])
    counted = weights > 0
    return float(np.average(values[counted], weights=weights[counted])) if counted.any() else float("nan")


def _summary(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[list[float], float | None, Any]:
    """The values of a metric over images, their mean (weighted where the metric is), and its interval."""
    weight = METRICS[name].weight
    if weight is None:
        values = [row[name] for row in rows if row[name] is not None]
        return values, float(np.mean(values)) if values else None, bootstrap_interval(values)
    weighted = [(row[name], row[weight]) for row in rows if row[name] is not None and row[weight]]
    values, weights = [value for value, _ in weighted], [weight for _, weight in weighted]
    if not values:
        return [], None, None
    products = [value * weight for value, weight in weighted]
    return values, float(sum(products) / sum(weights)), bootstrap_ratio_interval(products, weights)


def summarise(rows: Sequence[Mapping[str, Any]], scoring: Scoring) -> dict[str, Any]:
    """Means over images with their intervals, in plain values.

    rows: of `score`, each with a "name".

    Returns:
        "metrics": for each the "mean" over the images that have a value and its 95 % interval over images, "low" and
        "high" (None where there are fewer than two); how many images are "undefined"; whether "higher_is_better" and
        the "unit" of a length. "tolerance", "unit" and, of scores of raters, "both_empty" where they matter, else
        None; "n"; "empty_images"; "per_image".
    """
    metrics = {}
    for name in scoring.names:
        values, mean, interval = _summary(rows, name)
        low, high = interval or (None, None)
        metrics[name] = {
            "mean": mean,
            "low": low,
            "high": high,
            "undefined": len(rows) - len(values),
            "higher_is_better": METRICS[name].higher_is_better,
            "unit": scoring.unit if METRICS[name].distance else None,
        }
    return {
        "format_version": FORMAT_VERSION,
        "metrics": metrics,
        "tolerance": scoring.tolerance if any(METRICS[name].tolerance for name in scoring.names) else None,
        "unit": scoring.unit if scoring.measures_length else None,
        "both_empty": scoring.both_empty if scoring.scores_raters else None,
        "n": len(rows),
        "empty_images": sum(row["empty"] for row in rows),
        "per_image": [dict(row) for row in rows],
    }


def mean_of(scores: Mapping[str, Any], metric: str) -> float:
    """The mean of a metric over images; nan where no image has a value."""
    mean = scores["metrics"][metric]["mean"]
    return float("nan") if mean is None else mean
