"""`segdiff score`: masks made by any tool and truth masks in, scores out."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from segdiff.cli.options import Parser, positive_float
from segdiff.cli.scores import add_check_option, add_score_options, scoring_from, table, write_scores

PROG = "segdiff score"


def build_parser() -> Parser:
    """Build the parser of its options."""
    parser = Parser(
        prog=PROG,
        description="Score masks made by any tool: files of the same stem, object where a value is above 0\n"
        "(numbered instances count as one foreground, but for aji, pq and dq).",
    )
    parser.add_argument("--pred", required=True, metavar="DIR", help="folder of masks, or one mask")
    parser.add_argument("--truth", required=True, metavar="DIR", help="folder of truth masks, or one")
    parser.add_argument(
        "--pred-suffix",
        default="",
        metavar="END",
        help="end of the stems in --pred that is not part of the name: _mask for what segdiff predict wrote",
    )
    parser.add_argument("--truth-suffix", default="", metavar="END", help="the same of --truth")
    parser.add_argument("--partial", action="store_true", help="score what is there although masks are missing")
    parser.add_argument("--mpp", type=positive_float, metavar="M", help="micrometres per pixel, for lengths in um")
    add_check_option(parser)
    add_score_options(parser, "dice,iou")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; 0 when all pairs are scored."""
    args = build_parser().parse(argv)

    from segdiff.workflows.score import find_pairs, score_files

    scoring = scoring_from(args, ("dice", "iou"), masks_only=True)
    pairs = find_pairs(args.pred, args.truth, args.pred_suffix, args.truth_suffix)
    scores = score_files(pairs, scoring, mpp=args.mpp, partial=args.partial, check=args.check)
    print(table(scores))
    print(f"{scores['n']} pair(s) of {args.pred} and {args.truth}, as they lie (protocol native)")
    for names, what in ((pairs.without_prediction, "truth"), (pairs.without_truth, "prediction")):
        if names:
            print(f"left out: {len(names)} {what}(s) without partner, {names[0]} the first")
    for line in scores["warnings"]:
        print(f"{PROG}: {line}", file=sys.stderr)
    write_scores(args, scores, pred=args.pred, truth=args.truth, command=["segdiff", "score", *argv])
    return 0
