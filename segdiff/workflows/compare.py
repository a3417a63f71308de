"""Two files of scores of the same images: the paired difference, and whether it may be drawn."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segdiff.errors import ConfigError, DataError, MissingError
from segdiff.metrics.intervals import bootstrap_interval
from segdiff.metrics.table import METRICS

# What two files must share for their difference to be one of the masks alone, and how it is called.
CONDITIONS = {"protocol": "protocols", "dataset": "data sets", "split": "splits"}


@dataclass(frozen=True)
class ScoreFile:
    """Scores that `segdiff evaluate` or `segdiff score` wrote.

    Attributes:
        path: of the file.
        about: what it says beside the scores.
        rows: image -> metric -> score; without the scores that have no value.
    """

    path: Path
    about: Mapping[str, Any]
    rows: Mapping[str, Mapping[str, float]]

    @property
    def metrics(self) -> list[str]:
        """The metrics of its images, in the order of the file."""
        return list(dict.fromkeys(name for row in self.rows.values() for name in row))


def read_scores(path: str | Path) -> ScoreFile:
    """Read a JSON file of `segdiff evaluate` or `segdiff score`, of this version or the first.

    Raises:
        MissingError, DataError: not there, or no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(f"{path} is not a file; give one that evaluate or score wrote with --json")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        names = list(content["metrics"]) if "metrics" in content else ["dice", "iou"]
        rows = {
            str(row["name"]): {name: float(row[name]) for name in names if row[name] is not None}
            for row in content["per_image"]
        }
        double = len(rows) < len(content["per_image"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not a file that evaluate or score wrote with --json") from error
    if double or not rows:
        raise DataError(f"{path} scores {'an image twice' if double else 'no image'}")
    return ScoreFile(path, {key: value for key, value in content.items() if key != "per_image"}, rows)


def compare(first: ScoreFile, other: ScoreFile, metrics: Sequence[str] | None = None) -> dict[str, Any]:
    """Other minus first, image by image.

    Args:
        first: of `read_scores`.
        other: likewise.
        metrics: None: all that both have.
    Returns:
        Plain values: "first", "other" (paths); "n", the number of images in both; "metrics": for each the means "first"
        and "other" over these, their "difference" with its 95 % interval over images "low", "high" (None below two
        images), the numbers of images "better" and "worse" in the other, and "n" where fewer images have a value;
        "notes": what else than the masks differs.
    Raises:
        ConfigError: a metric that one of them has not. DataError: no metric or no image in both.
    """
    common = [name for name in first.metrics if name in other.metrics and not _is_ratio(name)]
    for name in metrics or ():
        if _is_ratio(name):
            parts = f"diversity and {METRICS[name].weight}"
            raise ConfigError(f"{name} is a ratio over all images, without a paired difference: compare {parts}")
        if name not in common:
            raise ConfigError(f"no {name} in both files; they share {', '.join(common) or 'no metric'}")
    names = [name for name in first.rows if name in other.rows]
    if not common:
        raise DataError(f"{first.path} and {other.path} share no metric")
    if not names:
        raise DataError(f"{first.path} and {other.path} share no image: {next(iter(first.rows))} is in the first only")
    found = {}
    for metric in metrics or common:
        pairs = [
            (first.rows[name][metric], other.rows[name][metric])
            for name in names
            if metric in first.rows[name] and metric in other.rows[name]
        ]
        if pairs:
            found[metric] = _difference(metric, np.array(pairs))
    if not found:
        raise DataError(f"{first.path} and {other.path}: no image has a score in both")
    return {
        "first": str(first.path),
        "other": str(other.path),
        "n": len(names),
        "metrics": found,
        "notes": _notes(first, other, len(names), list(found)),
    }


def _is_ratio(metric: str) -> bool:
    return metric in METRICS and METRICS[metric].weight is not None


def _difference(metric: str, pairs: np.ndarray) -> dict[str, Any]:
    differences = pairs[:, 1] - pairs[:, 0]
    low, high = bootstrap_interval(differences) or (None, None)
    upwards = METRICS[metric].higher_is_better if metric in METRICS else True
    gains = differences if upwards else -differences
    return {
        "n": len(pairs),
        "first": float(pairs[:, 0].mean()),
        "other": float(pairs[:, 1].mean()),
        "difference": float(differences.mean()),
        "low": low,
        "high": high,
        "better": int((gains > 0).sum()),
        "worse": int((gains < 0).sum()),
    }


def _notes(first: ScoreFile, other: ScoreFile, shared: int, metrics: Sequence[str]) -> list[str]:
    notes = []
    for key, what in CONDITIONS.items():
        ours, theirs = first.about.get(key), other.about.get(key)
        if ours is not None and theirs is not None and ours != theirs:
            notes.append(f"scored by different {what}: {ours} and {theirs}; the difference is not of the masks alone")
    if any(metric in METRICS and METRICS[metric].needs == "rater_scores" for metric in metrics):
        for what, (ours, theirs) in _rater_conditions(first, other).items():
            if ours != theirs:
                notes.append(f"scores of raters depend on {what}: {ours} and {theirs}; their difference is not fair")
    if any(metric in METRICS and (METRICS[metric].tolerance or METRICS[metric].distance) for metric in metrics):
        ours, theirs = (_lengths(file) for file in (first, other))
        if ours != theirs:
            notes.append(f"boundaries were measured differently: {ours} and {theirs}")
    for file in (first, other):
        if left := len(file.rows) - shared:
            notes.append(f"{left} image(s) of {file.path} are not in the other file and were left out")
    return notes


def _rater_conditions(first: ScoreFile, other: ScoreFile) -> dict[str, tuple[Any, Any]]:
    """What scores of raters depend on beside the masks, in both files."""
    chains = [(file.about.get("sampling") or {}).get("chains") for file in (first, other)]
    empty = [file.about.get("both_empty") for file in (first, other)]
    return {"the number of samples": (chains[0], chains[1]), "what two empty masks count": (empty[0], empty[1])}


def _lengths(file: ScoreFile) -> str:
    tolerance, unit = file.about.get("tolerance"), file.about.get("unit")
    return f"in {unit}" if tolerance is None else f"tolerance {tolerance:g} {unit}"
