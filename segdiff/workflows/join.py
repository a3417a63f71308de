"""The scores of all parts of an evaluation, made one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segdiff.errors import ConfigError, DataError, MissingError
from segdiff.metrics.table import Scoring
from segdiff.settings import plain
from segdiff.workflows.parts import Part
from segdiff.workflows.scoring import FORMAT_VERSION, summarise

# What the parts of one evaluation share.
SHARED = (
    *("dataset", "split", "protocol", "model", "members", "sampling", "inference", "windows", "threshold", "seed"),
    *("precision", "tolerance", "unit"),
)


def join(paths: Sequence[str | Path]) -> dict[str, Any]:
    """The scores of parts as `evaluate` would have given them in one.

    Args:
        paths: JSON files of all parts of one evaluation, in any order.
    Raises:
        MissingError, DataError: a file that is not there, or is no file of `evaluate --part`.
        ConfigError: parts of different evaluations, one twice, or one missing.
    """
    contents = [_read(Path(path)) for path in paths]
    first = contents[0]
    for path, content in zip(paths, contents, strict=True):
        changed = [key for key in SHARED if content.get(key) != first.get(key)]
        if changed or list(content["metrics"]) != list(first["metrics"]):
            raise ConfigError(f"{path} and {paths[0]} are not parts of one evaluation: {(changed or ['metrics'])[0]}")
    parts = sorted(tuple(map(int, content["part"].split("/"))) for content in contents)
    count = parts[0][1]
    if parts != [(index, count) for index in range(1, count + 1)]:
        told = ", ".join(f"{index}/{n}" for index, n in parts)
        raise ConfigError(f"the parts {told} are not those of a whole: each of 1/{count} to {count}/{count} once")
    both_empty = first.get("both_empty")
    lengths = first["tolerance"] or 2.0, first["unit"] or "px"
    scoring = Scoring(tuple(first["metrics"]), *lengths, 1.0 if both_empty is None else both_empty)
    in_turn = sorted(contents, key=lambda content: int(content["part"].split("/")[0]))
    rows = [row for turn in range(max(content["n"] for content in in_turn)) for row in _nth(in_turn, turn)]
    summary = summarise(rows, scoring)
    images = summary.pop("per_image")
    kept = {key: value for key, value in first.items() if key not in {*summary, "per_image", "part", "command"}}
    if "options" in kept:
        kept["options"] = {**kept["options"], "part": plain(Part())}
    return {**summary, **kept, "part": None, "joined": [str(path) for path in paths], "per_image": images}


def _nth(contents: Sequence[Mapping[str, Any]], turn: int) -> list[Any]:
    """Row `turn` of each part: part i had every n-th image, so that this is the order of the whole."""
    return [content["per_image"][turn] for content in contents if turn < len(content["per_image"])]


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise MissingError(f"no such file: {path}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        fits = content["format_version"] == FORMAT_VERSION and isinstance(content["part"], str)
        fits = fits and content["n"] == len(content["per_image"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a file that evaluate --part wrote with --json") from error
    if not fits:
        raise DataError(f"{path} is not a part of an evaluation")
    return content
