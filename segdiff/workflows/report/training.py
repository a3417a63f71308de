"""The folder of a training as a report's source: curves, panels, and the scores of its last validation."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segdiff.data.datasets import dataset_from_config
from segdiff.errors import DataError, SegdiffError
from segdiff.workflows.check.sheet import evenly
from segdiff.workflows.compare import read_scores
from segdiff.workflows.report.rows import Row, Source, command_line, flattened
from segdiff.workflows.report.scores import add_samples, source_of, title_of

PANELS = 12  # shown at most, evenly spread; the newest is among them
LEFT_OUT = ("run", "tracking", "resume", "device")
CHARTS = (("Training loss", "loss", True), ("Validation", "val_", False))  # of columns that begin so


def is_run_folder(folder: Path) -> bool:
    """Whether a training wrote this folder: its configuration beside its curves, environment or checkpoints."""
    beside = ("metrics.csv", "environment.json", "checkpoints")
    return (folder / "config.yaml").is_file() and any((folder / name).exists() for name in beside)


def read_training(folder: Path) -> Source:
    """Curves, panels and the last validation of a run folder.

    Raises:
        DataError: its configuration is not one.
    """
    config = _config(folder / "config.yaml")
    environment = _json(folder / "environment.json")
    source = Source(
        kind="training",
        title=f"Training {folder.resolve().name}",
        rows=[],
        settings=[*flattened(environment, ("command",)), *flattened(config, LEFT_OUT)],
        curves=read_charts(folder / "metrics.csv"),
        panels=_panels(folder / "panels"),
        command=command_line(environment.get("command")),
    )
    result = _json(folder / "result.json")
    if result.get("status") == "failed":
        source.notes.append(f"This training failed: {result.get('error', 'the folder does not say why')}")
    if not (folder / "validation.json").is_file():
        source.notes.append("This training has no final validation: it was cut, goes on, or has no validation images.")
        return source
    validation = read_scores(folder / "validation.json")
    scored = source_of(validation)
    source.rows, source.metrics, source.means = scored.rows, scored.metrics, scored.means
    if validation.about.get("blank"):
        source.notes.append("Every validation mask is blank: all background or all object.")
    source.notes += _shown(source.rows, config)
    return source


def read_charts(path: Path) -> list[dict[str, Any]]:
    """Lines over steps from a `metrics.csv`: each chart has "title", "log" and "lines" of "name" and "points"."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row.get("step")]
    charts: list[dict[str, Any]] = []
    for title, prefix, logarithmic in CHARTS:
        names = [name for name in (rows[0] if rows else ()) if name and name.startswith(prefix)]
        found = {name: points for name in names if (points := _points(rows, name))}
        if found:
            least = min(value for points in found.values() for _, value in points)
            lines = [{"name": title_of(name.removeprefix("val_")), "points": found[name]} for name in found]
            charts.append({"title": title, "log": logarithmic and least > 0, "lines": lines})
    return charts


def _points(rows: Sequence[dict[str, Any]], name: str) -> list[tuple[float, float]]:
    points = []
    for row in rows:
        try:
            step, value = float(row["step"]), float(row[name])
        except (KeyError, TypeError, ValueError):  # an empty cell, or a row that was cut
            continue
        if math.isfinite(value):
            points.append((step, value))
    return points


def _panels(folder: Path) -> list[tuple[str, Path]]:
    """Pictures of validations in the order of their steps; the final one last."""
    steps = sorted(folder.glob("step_*.png"))
    chosen = [steps[index] for index in evenly(len(steps), PANELS)]
    found = [(f"step {path.stem.removeprefix('step_').lstrip('0') or '0'}", path) for path in chosen]
    return [*found, *(("final", path) for path in [folder / "final.png"] if path.is_file())]


def _shown(rows: Sequence[Row], config: dict[str, Any]) -> list[str]:
    """Let rows read the validation pictures; a note where they cannot."""
    try:
        add_samples(rows, dataset_from_config(config["dataset"], "val"))
    except (SegdiffError, OSError, KeyError, TypeError, ValueError) as error:
        return [f"No validation pictures are shown: {error}."]
    return []


def _config(path: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not plain YAML") from error
    if not isinstance(content, dict) or "trainer" not in content:
        raise DataError(f"{path} is not the configuration of a training")
    return content


def _json(path: Path) -> dict[str, Any]:
    """What a file says that helps a reader and that no number depends on; nothing where it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
