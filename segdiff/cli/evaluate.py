"""`segdiff evaluate`: a model and a data set in, scores out."""

from __future__ import annotations

from collections.abc import Sequence

from segdiff.cli.options import (
    Parser,
    add_dataset_options,
    add_model_options,
    add_part_option,
    device_from,
    key_values,
    part_from,
    positive_int,
)
from segdiff.cli.scores import add_score_options, scoring_from, table, write_scores

PROG = "segdiff evaluate"
SPLITS = ("train", "val", "test", "all")


def build_parser() -> Parser:
    parser = Parser(prog=PROG, description="Scores of a model on a data set, for each image and their means.")
    add_dataset_options(parser)
    parser.add_argument("--split", choices=SPLITS, default="test", help="all is train + val (default: test)")
    parser.add_argument("--protocol", metavar="NAME", help="paper or native (default: that of the data set)")
    parser.add_argument("--limit", type=positive_int, metavar="N", help="only the first N images")
    add_part_option(parser)
    add_score_options(parser, "those of the protocol")
    add_model_options(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; 0 when all images are scored."""
    args = build_parser().parse(argv)

    from segdiff.cli.progress import ImageProgress
    from segdiff.data.datasets import build_dataset
    from segdiff.data.protocols import default_protocol, get_protocol
    from segdiff.workflows.evaluate import evaluate
    from segdiff.workflows.load import change_sampling, load_predictor

    dataset = build_dataset(args.dataset, args.root, args.split, **key_values(args.option))
    protocol = get_protocol(args.protocol or default_protocol(args.dataset), args.dataset)
    scoring = scoring_from(args, protocol.metrics)
    scoring.check(dataset.mpp)
    predictor = load_predictor(args.model, device=device_from(args), precision=args.precision)
    with ImageProgress() as progress:
        scores = evaluate(
            predictor,
            dataset,
            protocol,
            args.seed,
            change_sampling(predictor.sampling, args.chains, args.steps, args.sampler),
            scoring=scoring,
            threshold=args.threshold,
            batch_size=args.batch_size,
            limit=args.limit,
            part=part_from(args),
            progress=progress,
        )
    print(table(scores))
    print(
        f"{scores['n']} image(s) of {scores['dataset']}, split {scores['split']}, protocol {scores['protocol']}; "
        f"{scores['sampling']['chains']} chain(s), seed {scores['seed']}"
    )
    write_scores(args, scores, root=args.root, command=["segdiff", "evaluate", *argv])
    return 0
