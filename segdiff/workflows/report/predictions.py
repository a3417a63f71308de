"""A folder of predictions as rows. A record may be older or newer than this code, and files may be missing."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from segdiff.errors import DataError
from segdiff.workflows.report.rows import DONE, FAILED, PENDING, Row, Source, command_line, flattened

RECORD = re.compile(r"prediction(_\d+of\d+)?\.json")  # of the whole, and of parts
KINDS = ("mask", "probability", "uncertainty", "overlay", "labels", "objects", "outlines")
SUFFIXES = (".png", ".tif", ".tiff", ".csv", ".geojson")  # where a record does not name its files
NOT_SETTINGS = ("images", "earlier_runs", "command", "done_before", "format_version")


def find_records(folder: Path) -> list[Path]:
    """The records of a folder, the oldest first."""
    found = [path for path in folder.glob("prediction*.json") if RECORD.fullmatch(path.name)]
    return sorted(found, key=lambda path: (path.stat().st_mtime, path.name))


def read_predictions(records: Sequence[Path], pictures: Path | None = None) -> Source:
    """Rows of all runs that these records of one folder tell of; of a picture the newest run counts.

    Args:
        records: `prediction.json`, or those of all parts; the newest last.
        pictures: a folder that the pictures were moved to.
    Raises:
        DataError: a file that is no such record, or no picture in any.
    """
    folder = records[-1].parent
    rows: dict[str, Row] = {}
    newest: Mapping[str, Any] = {}
    runs = 0
    for path in records:
        for run in _runs(path):
            runs += 1
            newest = run
            for row in _rows_of(run, folder, pictures):
                rows.pop(row.name, None)
                rows[row.name] = row
    if not rows:
        raise DataError(f"{records[-1]} lists no image")
    notes = []
    if runs > 1:
        notes.append(f"{runs} runs wrote into this folder; the settings below are those of the newest.")
    return Source(
        kind="predictions",
        title=f"Predictions in {folder.resolve().name}",
        rows=list(rows.values()),
        settings=flattened(newest, NOT_SETTINGS),
        notes=notes,
        command=command_line(newest.get("command")),
    )


def _runs(path: Path) -> list[Mapping[str, Any]]:
    """The runs of a record, the newest last."""
    wrong = DataError(f"{path} is not a record that segdiff predict wrote")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, ValueError) as error:
        raise DataError(f"{path} is not complete JSON: run segdiff predict --resume to write it anew") from error
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise wrong
    earlier = content.get("earlier_runs")
    runs = [*(earlier if isinstance(earlier, list) else []), content]
    for run in runs:
        images = run.get("images") if isinstance(run, dict) else None
        if not isinstance(images, list) or not all(isinstance(one, dict) and "image" in one for one in images):
            raise wrong
    return runs


def _rows_of(run: Mapping[str, Any], folder: Path, pictures: Path | None) -> list[Row]:
    """The rows of one run; where two pictures have one stem, their names tell their paths apart."""
    stems = [str(one.get("stem") or Path(str(one["image"])).stem) for one in run["images"]]
    counts = Counter(stems)
    return [
        _row(one, str(one["image"]) if counts[stem] > 1 else stem, stem, folder, pictures)
        for one, stem in zip(run["images"], stems, strict=True)
    ]


def _row(one: Mapping[str, Any], name: str, stem: str, folder: Path, pictures: Path | None) -> Row:
    status = one.get("status")
    status = status if status in (DONE, FAILED) else PENDING
    shape: Any = one.get("shape")
    known = isinstance(shape, list) and len(shape) >= 2 and all(isinstance(side, int) for side in shape)
    outputs, missing = _outputs(one.get("outputs"), folder, stem) if status == DONE else ({}, [])
    error = one.get("error")
    return Row(
        name=name,
        status=status,
        image=str(one["image"]),
        picture=_find_picture(str(one["image"]), folder, pictures),
        shape=(shape[0], shape[1]) if known else None,
        error=str(error) if error is not None else None,
        warnings=[*_texts(one.get("remarks")), *_texts(one.get("warnings"))],
        outputs=outputs,
        missing=missing,
        facts={"seconds": one["seconds"]} if isinstance(one.get("seconds"), int | float) else {},
    )


def _outputs(recorded: Any, folder: Path, stem: str) -> tuple[dict[str, Path], list[str]]:
    """Files by their kind, and the kinds whose files are gone; by name where the record tells nothing of them."""
    if not isinstance(recorded, Mapping):
        found = {
            kind: path for kind in KINDS for suffix in SUFFIXES if (path := folder / f"{stem}_{kind}{suffix}").is_file()
        }
        return found, []
    named = {str(kind): folder / name for kind, name in recorded.items() if isinstance(name, str)}
    return (
        {kind: path for kind, path in named.items() if path.is_file()},
        [kind for kind, path in named.items() if not path.is_file()],
    )


def _find_picture(image: str, folder: Path, pictures: Path | None) -> Path | None:
    """The file of a recorded path: in the folder that was given, as it was recorded, or seen from the output folder
    and the folders above it (the record may be read from elsewhere)."""
    recorded = Path(image)
    if pictures is not None:
        given = pictures / recorded.name
        return given if given.is_file() else None
    above: Iterable[Path] = () if recorded.is_absolute() else (folder.resolve(), *folder.resolve().parents)
    return next((path for path in (recorded, *(place / recorded for place in above)) if path.is_file()), None)


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(item) for item in value] if isinstance(value, list) else []
