"""`segdiff evaluate`: a model and a data set in, scores out."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from segdiff.cli.options import (
    Parser,
    add_dataset_options,
    add_model_options,
    add_part_option,
    key_values,
    part_from,
    positive_int,
    predict_options_from,
    predictor_from,
    share,
)
from segdiff.cli.scores import add_check_option, add_score_options, of_part, scoring_from, table, write_scores

PROG = "segdiff evaluate"
ALSO = ("ece_raw", "ece", "diversity")
SPLITS = ("train", "val", "test", "all")


def build_parser() -> Parser:
    """Build the parser of its options."""
    parser = Parser(prog=PROG, description="Scores of a model on a data set, for each image and their means.")
    add_dataset_options(parser)
    parser.add_argument("--split", choices=SPLITS, default="test", help="all is train + val (default: test)")
    parser.add_argument("--protocol", metavar="NAME", help="paper or native (default: that of the data set)")
    parser.add_argument("--limit", type=positive_int, metavar="N", help="only the first N images")
    add_part_option(parser)
    add_score_options(
        parser,
        "those of the protocol, ece before and after the temperature, diversity of the chains, those of raters where "
        "images have several",
    )
    parser.add_argument(
        "--both-empty", type=share, metavar="X", help="what two empty masks count in scores of raters (default: 1)"
    )
    add_check_option(parser)
    parser.add_argument("--reliability", metavar="FILE", help="draw the reliability diagram there, such as ece.png")
    add_model_options(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; 0 when all images are scored."""
    args = build_parser().parse(argv)

    from segdiff.cli.progress import ImageProgress
    from segdiff.data.datasets import build_dataset
    from segdiff.data.protocols import default_protocol, get_protocol
    from segdiff.metrics.table import OF_RATERS
    from segdiff.workflows.check.quick import check_truths
    from segdiff.workflows.evaluate import EvaluateOptions, evaluate
    from segdiff.workflows.reliability import ReliabilityDiagram

    dataset = build_dataset(args.dataset, args.root, args.split, **key_values(args.option))
    protocol = get_protocol(args.protocol or default_protocol(args.dataset), args.dataset)
    scoring = scoring_from(args, (*protocol.metrics, *ALSO, *(OF_RATERS if dataset.raters > 1 else ())))
    scoring.check(dataset.mpp)
    part = part_from(args)
    options = EvaluateOptions(predict_options_from(args), scoring, args.limit, part)
    drawn = of_part(args.reliability, None if part.count == 1 else str(part))
    diagram = None if drawn is None else ReliabilityDiagram(drawn)
    predictor = predictor_from(args)
    if args.check:
        check_truths(dataset, options.chosen(dataset), lambda line: print(f"{PROG}: {line}", file=sys.stderr))
    with ImageProgress() as progress:
        scores = evaluate(
            predictor,
            dataset,
            protocol,
            options,
            progress=progress,
            watch=None if diagram is None else lambda sample, said: diagram.add(sample.mask, said),
        )
    print(table(scores))
    print(
        f"{scores['n']} image(s) of {scores['dataset']}, split {scores['split']}, protocol {scores['protocol']}; "
        f"{scores['sampling']['chains']} chain(s), seed {scores['seed']}"
    )
    write_scores(args, scores, root=args.root, command=["segdiff", "evaluate", *argv])
    if diagram is not None:
        diagram.draw()
        print(f"reliability diagram: {drawn}")
    return 0
