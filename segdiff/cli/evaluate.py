"""`segdiff evaluate`: a model and a data set in, scores out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from segdiff.cli.options import Parser, add_dataset_options, add_model_options, key_values, positive_int

PROG = "segdiff evaluate"
SPLITS = ("train", "val", "test", "all")


def build_parser() -> Parser:
    parser = Parser(prog=PROG, description="Dice and IoU of the foreground, for each image and their means.")
    add_dataset_options(parser)
    parser.add_argument("--split", choices=SPLITS, default="test", help="all is train + val (default: test)")
    parser.add_argument("--protocol", metavar="NAME", help="paper or native (default: that of the data set)")
    parser.add_argument("--limit", type=positive_int, metavar="N", help="only the first N images")
    parser.add_argument("--json", metavar="FILE", help="write the scores there as well")
    add_model_options(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; 0 when all images are scored."""
    args = build_parser().parse(argv)

    from segdiff.cli.progress import ImageProgress
    from segdiff.data.datasets import build_dataset
    from segdiff.data.protocols import default_protocol, get_protocol
    from segdiff.data.writers import write_json
    from segdiff.workflows.evaluate import evaluate
    from segdiff.workflows.load import change_sampling, load_predictor

    dataset = build_dataset(args.dataset, args.root, args.split, **key_values(args.option))
    protocol = get_protocol(args.protocol or default_protocol(args.dataset), args.dataset)
    predictor = load_predictor(args.model, device=args.device, precision=args.precision)
    with ImageProgress() as progress:
        scores = evaluate(
            predictor,
            dataset,
            protocol,
            args.seed,
            change_sampling(predictor.sampling, args.chains, args.steps, args.sampler),
            threshold=args.threshold,
            batch_size=args.batch_size,
            limit=args.limit,
            progress=progress,
        )
    print(table(scores))
    if args.json:
        write_json(args.json, {**scores, "root": args.root, "command": ["segdiff", "evaluate", *argv]})
        print(f"scores: {args.json}")
    return 0


def table(scores: dict[str, Any]) -> str:
    """The scores for people: a row an image, their mean, and what to know about them."""
    rows = [(row["name"], row["dice"], row["iou"]) for row in scores["per_image"]]
    width = max(len(name) for name, _, _ in [*rows, ("image", 0, 0)])
    lines = [f"{'image':<{width}}    Dice     IoU"]
    lines += [f"{name:<{width}}  {dice:.4f}  {iou:.4f}" for name, dice, iou in rows]
    lines.append(f"{'mean':<{width}}  {scores['dice']:.4f}  {scores['iou']:.4f}")
    lines.append(
        f"{scores['n']} image(s) of {scores['dataset']}, split {scores['split']}, "
        f"protocol {scores['protocol']}; {scores['sampling']['chains']} chain(s), seed {scores['seed']}"
    )
    if scores["empty_images"]:
        lines.append(f"{scores['empty_images']} image(s) with empty truth and empty mask score 0, as published")
    return "\n".join(lines)
