"""`segdiff join`: the scores of all parts of an evaluation, made one."""

from __future__ import annotations

from collections.abc import Sequence

from segdiff.cli.options import Parser
from segdiff.cli.scores import add_score_files, table, write_scores

PROG = "segdiff join"


def build_parser() -> Parser:
    parser = Parser(prog=PROG, description="Make one of the scores that segdiff evaluate --part wrote.")
    parser.add_argument("files", metavar="PART.json", nargs="+", help="all parts, in any order")
    add_score_files(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; 0 when the parts make a whole."""
    args = build_parser().parse(argv)

    from segdiff.workflows.join import join

    scores = join(args.files)
    print(table(scores))
    print(f"{scores['n']} image(s) of {scores['dataset']}, split {scores['split']}, from {len(args.files)} parts")
    write_scores(args, scores, command=["segdiff", "join", *argv])
    return 0
