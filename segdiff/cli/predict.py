"""`segdiff predict`: image files in, masks out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segdiff.cli.options import Parser, add_model_options, add_part_option, part_from, positive_float, predictor_from

PROG = "segdiff predict"
LISTED = 20  # so many images have their files listed on the terminal

EPILOG = """each image gives, in the output folder,
  NAME_mask.png          0 and 255
  NAME_probability.tif   float32, 0 to 1
  NAME_uncertainty.tif   float32, the standard deviation over chains (only with several)
  NAME_overlay.png       the mask's outline over the picture
with --instances also, of every object,
  NAME_labels.tif        its number, 0 is background
  NAME_objects.csv       place, area, mean probability and uncertainty, confidence (share of the chains that have it)
  NAME_outlines.geojson  its outline, for QuPath
and prediction.json says how they were made."""


def build_parser() -> Parser:
    parser = Parser(prog=PROG, description="Segment images of any size with a trained model.", epilog=EPILOG)
    parser.add_argument(
        "--image",
        required=True,
        nargs="+",
        action="extend",
        metavar="PATH",
        help="files, folders of images, patterns such as 'slides/*.png'; may be given several times",
    )
    parser.add_argument("--output-dir", default="out", metavar="DIR", help="where results go (default: out)")
    there = parser.add_mutually_exclusive_group()
    there.add_argument("--overwrite", action="store_true", help="replace results that are there (never an input)")
    there.add_argument("--resume", action="store_true", help="go on with a run that was cut: what is done stays")
    add_part_option(parser)
    parser.add_argument(
        "--mpp",
        type=positive_float,
        metavar="X",
        help="micrometres per pixel of the images: for their scale if the model knows its own, and for --instances",
    )
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument(
        "--scale",
        type=positive_float,
        metavar="X",
        help="resize the images by X for the model; results keep their size",
    )
    scale.add_argument(
        "--diameter",
        type=positive_float,
        metavar="PIXELS",
        help="of a typical object of the images, where they are of another magnification than the model's",
    )
    parser.add_argument("--instances", action="store_true", help="tell touching objects apart, and measure each")
    add_model_options(parser, default=True)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; 0 done, 2 all failed, 3 some failed."""
    args = build_parser().parse(argv)

    from segdiff.cli.progress import ImageProgress
    from segdiff.workflows.predict_files import predict_files

    part = part_from(args)
    predictor = predictor_from(args)
    own = predictor.known_mpp
    if own is not None and args.mpp is None and args.scale is None and args.diameter is None:
        how = "--mpp says theirs" if predictor.scale.get("mpp") is not None else "--scale changes it"
        print(
            f"{PROG}: the model was trained at {own:.3g} micrometres per pixel; the images are taken to be "
            f"at that scale ({how})",
            file=sys.stderr,
        )
    if own is None and args.instances and args.mpp is not None and args.scale is None and args.diameter is None:
        print(
            f"{PROG}: the model does not know its micrometres per pixel: --mpp is for the table only, and the images "
            "are seen as they are (--diameter says how wide their objects are)",
            file=sys.stderr,
        )
    with ImageProgress() as progress:
        record = predict_files(
            predictor,
            args.image,
            args.output_dir,
            overwrite=args.overwrite,
            resume=args.resume,
            part=part,
            seed=args.seed,
            threshold=args.threshold,
            temperature=args.temperature,
            batch_size=args.batch_size,
            mpp=args.mpp,
            scale=args.scale,
            diameter=args.diameter,
            instances=args.instances,
            command=["segdiff", "predict", *argv],
            progress=progress,
        )
    return _report(record["images"], Path(args.output_dir), f"prediction{part.suffix}.json", record["done_before"])


def _report(images: list[dict[str, Any]], folder: Path, record: str, before: int) -> int:
    """Say where results lie, what failed and how many were done `before`; the exit code."""
    done = [image for image in images if image["status"] == "done"]
    failed = [image for image in images if image["status"] == "failed"]
    for image in done[:LISTED]:
        print("  ".join(str(folder / name) for name in image["outputs"].values()))
    if len(done) > LISTED:
        print(f"... and those of {len(done) - LISTED} more images, in {folder}")
    earlier = f", {before} of them before" if before else ""
    print(f"{len(done)} of {len(images)} image(s) predicted{earlier}; how: {folder / record}")
    notes = [f"note on {image['image']}: {remark}" for image in done for remark in image.get("remarks", [])]
    for note in notes[:LISTED]:
        print(f"{PROG}: {note}", file=sys.stderr)
    if len(notes) > LISTED:
        print(f"{PROG}: {len(notes) - LISTED} more notes are in {folder / record}", file=sys.stderr)
    for image in failed:
        where = "" if image["image"] in image["error"] else f"{image['image']}: "
        print(f"{PROG}: error: {where}{image['error']}", file=sys.stderr)
    return 0 if not failed else 3 if done else 2
