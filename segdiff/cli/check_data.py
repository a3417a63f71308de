"""`segdiff check-data`: a look at a data set before an hour is spent on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segdiff.cli.options import Parser, add_dataset_options, key_values
from segdiff.errors import ConfigError

if TYPE_CHECKING:
    from segdiff.workflows.check.look import Report

PROG = "segdiff check-data"


def build_parser() -> Parser:
    """Build the parser of its options."""
    parser = Parser(
        prog=PROG,
        description="Read every image and mask once and tell what would break or spoil a training: missing partners,\n"
        "unreadable files, empty or inverted masks, the same picture in two splits, ... Exit code 2 on what\n"
        "would break it.",
    )
    add_dataset_options(parser)
    parser.add_argument("--split", action="append", choices=("train", "val", "test"), help="only this one; repeatable")
    parser.add_argument("--sheet", metavar="FILE.png", help="write a contact sheet with outlines there")
    parser.add_argument("--json", metavar="FILE", help="write everything found there")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; 2 where training would break, else 0."""
    args = build_parser().parse(argv)
    if args.sheet and Path(args.sheet).suffix.lower() != ".png":
        raise ConfigError(f"--sheet {args.sheet}: a contact sheet is a PNG file, such as sheet.png")

    from segdiff.cli.progress import ImageProgress
    from segdiff.data.writers import write_json, write_overlay
    from segdiff.workflows.check.look import SPLITS, check_data

    with ImageProgress() as progress:
        report = check_data(args.dataset, args.root, args.split or SPLITS, progress, **key_values(args.option))
    print(text(report))
    if args.sheet and report.sheet is not None:
        write_overlay(args.sheet, report.sheet)
        print(f"contact sheet: {args.sheet}")
    if args.json:
        write_json(args.json, {**report.content(), "command": ["segdiff", "check-data", *argv]})
        print(f"report: {args.json}")
    return 2 if report.breaks_training else 0


def text(report: Report) -> str:
    """The report for people."""
    from segdiff.workflows.check.facts import describe_summary

    lines = []
    for split, told in report.splits.items():
        lines.append(f"{split}: {describe_summary(told)}")
        kinds = [
            f"{name}: " + ", ".join(f"{kind} ({count})" if len(found) > 1 else kind for kind, count in found.items())
            for name in ("formats", "channels", "types")
            if (found := told.get(name))
        ]
        if kinds:
            lines.append(f"  {'; '.join(kinds)}")
    lines += [finding.line() for finding in report.findings]
    worst = (
        "training would break on the errors above" if report.breaks_training else "nothing that would break training"
    )
    return "\n".join([*lines, worst])
