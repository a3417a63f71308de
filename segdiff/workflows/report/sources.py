"""From paths to rows: what each path is, and rows of one name made one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from segdiff.errors import DataError, MissingError
from segdiff.workflows.report.predictions import RECORD, find_records, read_predictions
from segdiff.workflows.report.rows import Source
from segdiff.workflows.report.scores import read_evaluation
from segdiff.workflows.report.training import is_run_folder, read_training

TAKEN = "a folder that segdiff predict wrote, the folder of a training, or a JSON file of segdiff evaluate or score"
ORDER = ("predictions", "evaluation", "training")  # whose rows and title come first


def read_source(path: str | Path, pictures: Path | None = None) -> Source:
    """What lies at a path.

    Args:
        path: a folder of predictions, one of its records, the folder of a training, or a JSON file of scores.
        pictures: a folder that predicted pictures were moved to.
    Raises:
        MissingError: nothing is there. DataError: none of these, or one that cannot be read.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        records = find_records(path)
        if records:
            return read_predictions(records, pictures)
        if is_run_folder(path):
            return read_training(path)
        raise DataError(f"{path} holds no prediction.json and no training; give {TAKEN}{_hint(path)}")
    if not path.is_file():
        raise MissingError(f"{path} is not there: give {TAKEN}")
    if RECORD.fullmatch(path.name):
        return read_predictions([path], pictures)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        scored = isinstance(content, dict) and "per_image" in content
    except ValueError:
        scored = False
    if not scored:
        raise DataError(f"{path} is not a file that a report is made of; give {TAKEN}")
    return read_evaluation(path)


def joined(sources: Sequence[Source]) -> Source:
    """One source of several: rows of one name are one, predictions first, then scores.

    Raises:
        DataError: two sources of the same kind, or sources that share no picture.
    """
    if len(sources) == 1:
        return sources[0]
    kinds = [source.kind for source in sources]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise DataError(f"{kinds.count(kind)} of the paths are of one kind ({kind}): make a report of each")
    first, *others = sorted(sources, key=lambda source: ORDER.index(source.kind))
    rows = {row.name: row for row in first.rows}
    for other in others:
        shared = [row.name for row in other.rows if row.name in rows]
        if rows and other.rows and not shared:
            raise DataError(
                f"{first.title} and {other.title} share no picture: {next(iter(rows))} is in the first only, "
                f"{other.rows[0].name} in the second"
            )
        for row in other.rows:
            known = rows.setdefault(row.name, row)
            if known is not row:
                known.scores.update(row.scores)
                known.sample = known.sample or row.sample
                known.truth = known.truth or row.truth
        if other.rows and len(shared) < len(rows):
            first.notes.append(f"{len(rows) - len(shared)} of {len(rows)} pictures are not in both sources.")
        first.means += other.means
        first.metrics += [column for column in other.metrics if column not in first.metrics]
        first.settings += [(f"{other.kind}.{key}", text) for key, text in other.settings]
        first.notes += other.notes
        first.curves += other.curves
        first.panels += other.panels
    first.rows = list(rows.values())
    return first


def _hint(folder: Path) -> str:
    """A folder below this one that would do."""
    below = sorted(path.parent for path in folder.glob("*/prediction*.json") if RECORD.fullmatch(path.name))
    return f" ({below[0]} is one)" if below else ""
