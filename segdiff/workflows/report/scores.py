"""Scores as rows: the JSON of `segdiff evaluate` or `segdiff score`, with the pictures of its data set where there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from segdiff.data.datasets import Dataset, build_dataset
from segdiff.errors import SegdiffError
from segdiff.metrics.table import METRICS
from segdiff.workflows.compare import ScoreFile, read_scores
from segdiff.workflows.report.rows import Column, Row, Source, command_line, flattened
from segdiff.workflows.score import find_pairs

ABBREVIATED = {
    "iou": "IoU",
    "f": "F",
    **{word: word.upper() for word in ("ece", "nll", "aji", "pq", "dq", "auroc", "ged")},
}
NOT_SETTINGS = ("metrics", "command", "format_version", "n", "empty_images", "blank", "joined")


def read_evaluation(path: Path) -> Source:
    """A row an image that was scored.

    Raises:
        MissingError, DataError: not there, or no such file.
    """
    scores = read_scores(path)
    about = scores.about
    source = source_of(scores)
    try:
        if "pred" in about and "truth" in about:
            _add_masks(source.rows, about)
        else:
            options = _options(about.get("command"))
            add_samples(source.rows, build_dataset(about["dataset"], about["root"], about["split"], **options))
    except (SegdiffError, OSError, KeyError, TypeError, ValueError) as error:
        why = f"the file does not say {error}" if isinstance(error, KeyError) else str(error)
        source.notes.append(f"No pictures are shown: {why}.")
    return source


def source_of(scores: ScoreFile) -> Source:
    """Rows of a file of scores, without pictures."""
    about = scores.about
    rows = [
        Row(name, scores={metric: values.get(metric) for metric in scores.metrics})
        for name, values in scores.rows.items()
    ]
    what = " ".join(str(about[key]) for key in ("dataset", "split") if about.get(key)) or scores.path.name
    notes = []
    if about.get("part"):
        notes.append(f"These are the scores of part {about['part']} alone; segdiff join makes one file of all parts.")
    if about.get("empty_images"):
        notes.append(f"{about['empty_images']} image(s) with empty truth and empty mask score 0 in overlaps.")
    return Source(
        kind="evaluation",
        title=f"Scores of {what}",
        rows=rows,
        metrics=columns_of(scores),
        means=_means(about.get("metrics")),
        settings=flattened(about, NOT_SETTINGS),
        notes=notes,
        command=command_line(about.get("command")),
    )


def columns_of(scores: ScoreFile) -> list[Column]:
    """A column a metric: its unit and whether more is better as the file says, else as this version knows it."""
    told = scores.about.get("metrics")
    columns = []
    for name in scores.metrics:
        facts = told.get(name, {}) if isinstance(told, Mapping) else {}
        known = METRICS.get(name)
        higher = facts.get("higher_is_better", known.higher_is_better if known else None)
        better = 0 if higher is None else 1 if higher else -1
        unit = str(facts.get("unit") or "")
        columns.append(Column(name, title_of(name), unit, 1 if unit else 3, better))
    return columns


def title_of(metric: str) -> str:
    """A metric's name for people: ece_raw becomes ECE raw, boundary_f Boundary F."""
    words = [ABBREVIATED.get(word, word) for word in metric.split("_")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


def _means(metrics: Any) -> list[dict[str, Any]]:
    """What the file says of all pictures; nothing where it is of before there were intervals."""
    if not isinstance(metrics, Mapping):
        return []
    return [
        {
            "title": title_of(name),
            **{key: facts.get(key) for key in ("mean", "low", "high")},
            "undefined": facts.get("undefined") or 0,
            "unit": str(facts.get("unit") or ""),
            "digits": 2 if facts.get("unit") else 4,
        }
        for name, facts in metrics.items()
        if isinstance(facts, Mapping)
    ]


def add_samples(rows: Sequence[Row], dataset: Dataset) -> None:
    """Let rows read picture and truth from a data set, by their names."""
    index = {name: number for number, name in enumerate(dataset.names)}
    for row in rows:
        if row.name in index:
            row.sample = partial(dataset.__getitem__, index[row.name])


def _add_masks(rows: Sequence[Row], about: Mapping[str, Any]) -> None:
    """Files of `segdiff score`: a mask and its truth, without the picture."""
    suffixes = [_value_of(about.get("command"), option) for option in ("--pred-suffix", "--truth-suffix")]
    pairs = find_pairs(about["pred"], about["truth"], *(suffix or "" for suffix in suffixes))
    found = {name: (prediction, truth) for name, prediction, truth in pairs.found}
    for row in rows:
        if row.name in found:
            row.outputs["mask"], row.truth = found[row.name]


def _options(command: Any) -> dict[str, Any]:
    """The data set's own options in a recorded command (--option fold=1)."""
    import yaml

    words = command if isinstance(command, list) else []
    pairs = [*zip(words, words[1:], strict=False), *(tuple(word.split("=", 1)) for word in words if "=" in str(word))]
    given = [str(value).partition("=") for option, value in pairs if option == "--option"]
    return {key: yaml.safe_load(value) for key, _, value in given}


def _value_of(command: Any, option: str) -> str | None:
    """The value of an option in a recorded command, written in either way."""
    words = [str(word) for word in command] if isinstance(command, list) else []
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == option:
            return following
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return None
