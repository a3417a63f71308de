"""`segdiff join`: the scores of all parts of an evaluation, or the tables of all parts of a prediction, made one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from segdiff.cli.options import Parser
from segdiff.cli.scores import add_score_files, table, write_scores

PROG = "segdiff join"
EPILOG = """parts of a prediction, OUT/prediction_1of4.json and so on, give OUT/summary.csv, or the file that --csv
names; --json then names a record of all."""


def build_parser() -> Parser:
    """Build the parser of its options."""
    parser = Parser(
        prog=PROG,
        description="Make one of the scores that segdiff evaluate --part wrote, or of the records of segdiff predict.",
        epilog=EPILOG,
    )
    parser.add_argument("files", metavar="PART.json", nargs="+", help="all parts, in any order")
    add_score_files(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; 0 when the parts make a whole."""
    args = build_parser().parse(argv)

    from segdiff.workflows.join import join
    from segdiff.workflows.join_predictions import is_prediction

    if any(is_prediction(path) for path in args.files):
        return _join_predictions(args)
    scores = join(args.files)
    print(table(scores))
    print(f"{scores['n']} image(s) of {scores['dataset']}, split {scores['split']}, from {len(args.files)} parts")
    write_scores(args, scores, command=["segdiff", "join", *argv])
    return 0


def _join_predictions(args: argparse.Namespace) -> int:
    from segdiff.data.writers import write_json
    from segdiff.workflows.join_predictions import join_predictions
    from segdiff.workflows.summary import check_summary, in_all, write_summary

    record = join_predictions(args.files)
    path = Path(args.csv) if args.csv else Path(args.files[0]).with_name("summary.csv")
    check_summary(path)
    write_summary(path, record)
    if args.json:
        write_json(args.json, record)
    print(f"{in_all(record['images'])}, from {len(args.files)} parts: {path}")
    return 0
