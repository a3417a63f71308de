"""What a report is made of, whoever tells it: a row a picture, and facts about all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segdiff.data.datasets.base import Sample

DONE, FAILED, PENDING = "done", "failed", "pending"


@dataclass
class Row:
    """One picture, as a record or a file of scores tells of it.

    Attributes:
        name: shown, and what scores are matched by: the stem of the file.
        status: DONE, FAILED or PENDING (a run that was cut).
        image: path as it was recorded; None where only a name is known.
        picture: the same file where it was found; None: not found.
        shape: (height, width) as it was recorded; None: unknown.
        error: why it failed.
        warnings: what the model or the reader had to say about it.
        outputs: kind (mask, probability, ...) -> a file that exists.
        missing: kinds that the record names and whose files are gone.
        sample: reads the picture and its truth from a data set; None where there is none.
        truth: a mask file of the truth; None where there is none, or the sample has it.
        scores: metric -> value, None where it has none.
        facts: anything else worth a line, such as seconds.
    """

    name: str
    status: str = DONE
    image: str | None = None
    picture: Path | None = None
    shape: tuple[int, int] | None = None
    error: str | None = None
    warnings: list[str] = field(default_factory=list)
    outputs: dict[str, Path] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    sample: Callable[[], Sample] | None = None
    truth: Path | None = None
    scores: dict[str, float | None] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class Column:
    """A number that rows have.

    Attributes:
        key: of `Shown.values`.
        title: for people.
        unit: "" where there is none.
        digits: after the point.
        better: 1 where more is better, -1 where less is, 0 where neither.
    """

    key: str
    title: str
    unit: str = ""
    digits: int = 3
    better: int = 0


@dataclass
class Source:
    """What one path given to the report holds.

    Attributes:
        kind: "predictions", "evaluation" or "training".
        title: of the page, if this is all there is.
        rows: pictures in their order.
        metrics: columns of scores, in order.
        means: of scores over pictures: "title", "mean", "low", "high", "undefined", "unit", "digits" of each.
        settings: what made it, as (dotted key, text).
        notes: what a reader should know of the whole.
        curves: charts of lines, see `training.py`.
        panels: (caption, picture file), in order.
        command: the recorded command line, one string; None where there is none.
    """

    kind: str
    title: str
    rows: list[Row]
    metrics: list[Column] = field(default_factory=list)
    means: list[dict[str, Any]] = field(default_factory=list)
    settings: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    curves: list[dict[str, Any]] = field(default_factory=list)
    panels: list[tuple[str, Path]] = field(default_factory=list)
    command: str | None = None


def flattened(values: Mapping[str, Any], leave: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Nested plain values as (dotted key, text), without the keys `leave` and without what is None or empty."""
    found: list[tuple[str, str]] = []

    def walk(value: Any, key: str) -> None:
        if isinstance(value, Mapping):
            for name, inner in value.items():
                walk(inner, f"{key}.{name}" if key else str(name))
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            for number, item in enumerate(value, start=1):
                walk(item, f"{key}.{number}")
        elif isinstance(value, list):
            if value:
                found.append((key, ", ".join(map(str, value))))
        elif value is not None:
            found.append((key, f"{value:g}" if isinstance(value, float) else str(value)))

    left = set(leave)
    walk({name: value for name, value in values.items() if name not in left}, "")
    return found


def command_line(command: Any) -> str | None:
    """A recorded command, a list of words, as one would type it; None for anything else."""
    import shlex

    if not isinstance(command, list) or not command:
        return None
    program, *words = map(str, command)
    return shlex.join([*program.split(), *words])
