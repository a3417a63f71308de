"""Scores for people and into files: what evaluate and score have in common."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segdiff.metrics.table import Scoring

NAME_WIDTH = 40


def add_score_options(parser: argparse.ArgumentParser, default: str) -> None:
    """Which metrics, and where the scores are written. `default` tells what is scored unless told otherwise."""
    group = parser.add_argument_group("scores (docs/metrics.md)")
    group.add_argument(
        "--metrics",
        nargs="+",
        metavar="A,B,...",
        help=f"dice, iou, hausdorff_95, ... or all of them: all; raters: those of several raters (default: {default})",
    )
    group.add_argument("--tolerance", metavar="T", help="of boundaries, such as 2px (default) or 0.5um")
    add_score_files(group)


def add_check_option(parser: argparse._ActionsContainer) -> None:
    """Score truths that look wrong all the same."""
    parser.add_argument(
        "--no-check",
        dest="check",
        action="store_false",
        help="score all the same where every truth looks empty, full or inverted",
    )


def add_score_files(parser: argparse._ActionsContainer) -> None:
    """Where scores are written."""
    parser.add_argument("--json", metavar="FILE", help="write the scores there, with all that made them")
    parser.add_argument("--csv", metavar="FILE", help="write a row an image there")


def scoring_from(args: argparse.Namespace, default: Sequence[str], masks_only: bool = False) -> Scoring:
    """The scoring that the options ask for; `masks_only` where no model is at hand."""
    from dataclasses import replace

    from segdiff.metrics.table import parse_metrics, scoring_of

    names = default if args.metrics is None else parse_metrics(",".join(args.metrics), masks_only)
    scoring = scoring_of(names, args.tolerance)
    if getattr(args, "both_empty", None) is not None:
        scoring = replace(scoring, both_empty=args.both_empty)
    if masks_only:
        scoring.check_masks_only()
    return scoring


def write_scores(args: argparse.Namespace, scores: Mapping[str, Any], **more: Any) -> None:
    """Into the files that the options name; `more` is for the JSON file only. Says where they are."""
    from segdiff.data.writers import write_csv, write_json

    json_file, csv_file = (of_part(path, scores.get("part")) for path in (args.json, args.csv))
    if json_file:
        write_json(json_file, {**scores, **more})
    if csv_file:
        write_csv(csv_file, list(scores["per_image"][0]), scores["per_image"])
    if json_file or csv_file:
        print("scores: " + ", ".join(str(path) for path in (json_file, csv_file) if path))


def of_part(path: str | None, part: str | None) -> Path | None:
    """A file of a part has a name of its own: scores.json becomes scores_2of4.json."""
    if path is None or part is None:
        return None if path is None else Path(path)
    from segdiff.workflows.parts import parse_part

    return Path(path).with_stem(Path(path).stem + parse_part(part).suffix)


def table(scores: Mapping[str, Any]) -> str:
    """A row an image, their means with 95 % intervals, and what to know about them."""
    metrics = scores["metrics"]
    heads = {name: f"{name} ({what['unit']})" if what["unit"] else name for name, what in metrics.items()}
    widths = {name: max(len(head), 7) for name, head in heads.items()}
    names = [_short(row["name"]) for row in scores["per_image"]]
    first = max(map(len, [*names, "95 % from"]))

    def line(label: str, cells: Mapping[str, str]) -> str:
        return "  ".join([f"{label:<{first}}", *(f"{cells[name]:>{widths[name]}}" for name in metrics)]).rstrip()

    lines = [line("image", heads)]
    for label, row in zip(names, scores["per_image"], strict=True):
        lines.append(line(label, {name: _number(row[name]) for name in metrics}))
    lines.append(line("mean", {name: _number(what["mean"]) for name, what in metrics.items()}))
    if scores["n"] > 1:
        lines.append(line("95 % from", {name: _number(what["low"]) for name, what in metrics.items()}))
        lines.append(line("to", {name: _number(what["high"]) for name, what in metrics.items()}))
    else:
        lines.append("no interval: there is one image")
    return "\n".join([*lines, *_notes(scores)])


def _notes(scores: Mapping[str, Any]) -> list[str]:
    notes = []
    if scores.get("both_empty") is not None:
        notes.append(_of_raters(scores))
    if scores["tolerance"] is not None:
        notes.append(f"tolerance of boundaries: {scores['tolerance']:g} {scores['unit']}")
    if scores["empty_images"]:
        notes.append(
            f"{scores['empty_images']} image(s) with empty truth and empty mask score 0 in overlaps, as published"
        )
    for name, what in scores["metrics"].items():
        if what["undefined"]:
            notes.append(f"{name} has no value for {what['undefined']} image(s), which its mean leaves out")
    return notes


def _of_raters(scores: Mapping[str, Any]) -> str:
    """What scores of raters depend on, without which they say little."""
    said = f"scores of raters: {scores['sampling']['chains']} sample(s) an image"
    floor = scores["metrics"].get("ged_floor")
    if floor is not None and floor["mean"] is not None:
        said += f"; as many more raters would have a ged of {floor['mean']:.4f} (ged_floor), a ged_unbiased of 0"
    return f"{said}; two empty masks count {scores['both_empty']:g} (--both-empty)"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _short(name: str) -> str:
    return name if len(name) <= NAME_WIDTH else f"{name[: NAME_WIDTH - 15]}...{name[-12:]}"
