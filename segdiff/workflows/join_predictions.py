"""The records of all parts of a prediction, made one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from segdiff.errors import ConfigError, DataError, MissingError
from segdiff.settings import differences, plain
from segdiff.workflows.parts import Part
from segdiff.workflows.record import DECIDING, FORMAT_VERSION


def is_prediction(path: str | Path) -> bool:
    """Tell whether a file is the record of a prediction; False, too, of what cannot be read."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        return isinstance(content["images"], list) and isinstance(content["options"]["part"], dict)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def join_predictions(paths: Sequence[str | Path]) -> dict[str, Any]:
    """Make one record of those of all parts, images in the order of a run that was not divided.

    Args:
        paths: prediction_1of4.json, ... in any order.
    Raises:
        MissingError, DataError: a file that is not there, or is no such record.
        ConfigError: parts of different predictions, one twice, or one missing.
    """
    contents = sorted(map(_read, paths), key=lambda content: int(content["options"]["part"]["index"]))
    first = contents[0]
    for content in contents:
        if changes := _changed(first, content):
            raise ConfigError(f"these are not parts of one prediction: {', '.join(changes[:3])}")
    parts = [Part(**content["options"]["part"]) for content in contents]
    count = parts[0].count
    if parts != [Part(index, count) for index in range(1, count + 1)]:
        told = ", ".join(map(str, parts))
        raise ConfigError(f"the parts {told} are not those of a whole: each of 1/{count} to {count}/{count} once")
    gap = object()
    in_turn = chain.from_iterable(zip_longest(*(content["images"] for content in contents), fillvalue=gap))
    joined = {
        **first,
        "options": {**first["options"], "part": plain(Part())},
        "images": [image for image in in_turn if image is not gap],
        "done_before": sum(content.get("done_before", 0) for content in contents),
        "joined": [str(path) for path in paths],
    }
    joined.pop("command", None)
    if earlier := [run for content in contents for run in content.get("earlier_runs", [])]:
        joined["earlier_runs"] = earlier
    return joined


def _changed(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    lines = [line for key in DECIDING for line in differences(one.get(key), other.get(key), key)]
    here, there = ({**run["options"], "part": None, "resume": None, "overwrite": None} for run in (one, other))
    return [*lines, *differences(here, there, "options")]


def _read(path: str | Path) -> dict[str, Any]:
    path = Path(path)
    if not path.is_file():
        raise MissingError(f"no such file: {path}")
    if not is_prediction(path):
        raise DataError(f"{path} is not a record that segdiff predict --part wrote")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if content.get("format_version") != FORMAT_VERSION:
        raise DataError(f"{path} has the format {content.get('format_version')}; this version joins {FORMAT_VERSION}")
    return content
