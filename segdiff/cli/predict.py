"""`segdiff predict`: image files in, masks out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segdiff.cli.options import (
    Parser,
    add_model_options,
    add_part_option,
    add_read_options,
    part_from,
    positive_float,
    positive_int,
    predict_options_from,
    predictor_from,
    read_options_from,
)
from segdiff.errors import ConfigError

if TYPE_CHECKING:
    from segdiff.workflows.engine import Engine
    from segdiff.workflows.file_options import PredictFilesOptions

PROG = "segdiff predict"
LISTED = 20  # so many images have their files listed on the terminal

EPILOG = """each image gives, in the output folder,
  NAME_mask.png          0 and 255
  NAME_probability.tif   float32, 0 to 1
  NAME_uncertainty.tif   float32, the standard deviation over chains (only with several)
  NAME_overlay.png       the mask's outline over the picture
with --instances, or by their names in --outputs, of every object,
  NAME_labels.tif        its number, 0 is background
  NAME_objects.csv       place, size, shape, colour, mean probability and uncertainty, confidence
  NAME_outlines.geojson  its outline, for QuPath
  NAME_objects.parquet   table and outlines, only if --outputs names parquet (pip install 'segdiff[parquet]')
with --samples K, for models that were trained on the masks of several raters,
  NAME_sample_1.png      ... NAME_sample_K.png: whole masks, the likeliest first
  NAME_agreement.tif     the share of all samples that mark a pixel
Whole slides (SVS, pyramidal TIFF, OME-Zarr, and what OpenSlide reads) give NAME_mask.ome.tif, and NAME_labels.ome.tif
in place of NAME_labels.tif; NAME_tissue.png and .geojson say where tissue was found. Maps of numbers of slides are
written where --outputs names them: NAME_probability.ome.tif, NAME_uncertainty.ome.tif.
summary.csv has a row an image: objects, areas, warnings; prediction.json says how all were made.
--outputs takes the names without NAME_ and suffix."""


def build_parser() -> Parser:
    """Build the parser of its options."""
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
    parser.add_argument("--recursive", action="store_true", help="take the images in subfolders, too, and keep these")
    add_part_option(parser)
    parser.add_argument(
        "--cluster",
        metavar="WHERE",
        help="predict by Dask workers: local, slurm, lsf, sge, pbs, or a scheduler's address (docs/howto/several.md)",
    )
    parser.add_argument("--workers", type=positive_int, metavar="N", help="of --cluster: how many to start")
    _add_scale_options(parser)
    parser.add_argument("--instances", action="store_true", help="tell touching objects apart, and measure each")
    parser.add_argument(
        "--outputs",
        metavar="A,B,...",
        help="write only these, such as mask,labels (default: mask,probability,uncertainty,overlay)",
    )
    parser.add_argument(
        "--samples",
        type=positive_int,
        default=0,
        metavar="K",
        help="also write K whole masks of single chains, chosen to differ, and a map of how far all agree",
    )
    part = parser.add_argument_group("part of an image")
    part.add_argument(
        "--region", metavar="X,Y,W,H|FILE", help="predict this part only: a rectangle in pixels, or a GeoJSON file"
    )
    part.add_argument(
        "--no-tissue",
        dest="tissue",
        action="store_false",
        help="of whole slides predict the glass, too, not tissue only",
    )
    add_read_options(parser)
    add_model_options(parser, default=True)
    return parser


def _add_scale_options(parser: Parser) -> None:
    """Add what says how large the images show things."""
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


def main(argv: Sequence[str]) -> int:
    """Run the command; 0 done, 2 all failed, 3 some failed."""
    args = build_parser().parse(argv)

    from segdiff.cli.progress import ImageProgress
    from segdiff.workflows.predict_files import predict_files

    options = options_from(args)
    predictor = predictor_from(args)
    own = predictor.known_mpp
    if own is not None and args.mpp is None and args.scale is None and args.diameter is None:
        how = "--mpp says theirs" if predictor.takes_mpp else "--scale changes it"
        print(
            f"{PROG}: the model was trained at {own:.3g} micrometres per pixel; images whose files do not state theirs "
            f"are taken to be at that scale ({how})",
            file=sys.stderr,
        )
    if own is None and options.measures and args.mpp is not None and args.scale is None and args.diameter is None:
        print(
            f"{PROG}: the model does not know its micrometres per pixel: --mpp is for the table only, and the images "
            "are seen as they are (--diameter says how wide their objects are)",
            file=sys.stderr,
        )
    with ImageProgress() as progress, _engine_from(args) as engine:
        record = predict_files(
            predictor,
            args.image,
            args.output_dir,
            options,
            command=["segdiff", "predict", *argv],
            progress=progress,
            engine=engine,
        )
    name = f"prediction{options.part.suffix}.json"
    return _report(record["images"], Path(args.output_dir), name, record["done_before"])


@contextmanager
def _engine_from(args: argparse.Namespace) -> Iterator[Engine | None]:
    """Who predicts: workers of `--cluster`, or None for this process."""
    if args.cluster is None:
        if args.workers is not None:
            raise ConfigError("--workers is of --cluster: local, slurm, lsf, sge, pbs, or a scheduler's address")
        yield None
        return
    from segdiff.workflows.cluster.engine import ClusterEngine
    from segdiff.workflows.cluster.start import connected

    models = [str(Path(one).absolute()) if Path(one).exists() else one for one in args.model or []] or None
    with connected(args.cluster, args.workers) as client:
        print(f"{PROG}: workers at {args.cluster}; dashboard: {client.dashboard_link}", file=sys.stderr)
        yield ClusterEngine(client, partial(predictor_from, argparse.Namespace(**{**vars(args), "model": models})))


def options_from(args: argparse.Namespace) -> PredictFilesOptions:
    """What the options ask for. ConfigError where they contradict each other."""
    from segdiff.workflows.file_options import PredictFilesOptions
    from segdiff.workflows.outputs import DEFAULT_OUTPUTS, OBJECT_OUTPUTS, check_outputs, measures_objects

    chosen = (
        DEFAULT_OUTPUTS if args.outputs is None else check_outputs([name.strip() for name in args.outputs.split(",")])
    )
    outputs = (*chosen, *(OBJECT_OUTPUTS if args.instances else ()))
    # Where something else says the scale, micrometres are for the measurements alone.
    for_objects = measures_objects(outputs) and (args.scale is not None or args.diameter is not None)
    given = argparse.Namespace(**{**vars(args), "mpp": None}) if for_objects else args
    return PredictFilesOptions(
        predict_options_from(given),
        read_options_from(args),
        outputs,
        objects_mpp=args.mpp if for_objects else None,
        region=args.region,
        tissue=args.tissue,
        recursive=args.recursive,
        overwrite=args.overwrite,
        resume=args.resume,
        part=part_from(args),
        samples=args.samples,
    )


def _report(images: list[dict[str, Any]], folder: Path, record: str, before: int) -> int:
    """Say where results lie, what failed and how many were done `before`; the exit code."""
    from segdiff.workflows import sampled
    from segdiff.workflows.numbers import VALID_FOR, in_words
    from segdiff.workflows.summary import in_all, summary_path

    done = [image for image in images if image["status"] == "done"]
    failed = [image for image in images if image["status"] == "failed"]
    for image in done[:LISTED]:
        print("  ".join(str(folder / name) for name in image["outputs"].values()))
        if "numbers" in image:
            print(f"{Path(image['image']).name}: {in_words(image['numbers'])}")
        if "samples" in image:
            print(f"{Path(image['image']).name}: {sampled.in_words(image['samples'])}")
    if any("numbers" in image for image in done):
        print(f"intervals are {VALID_FOR}; all of them are in {folder / record}")
    if len(done) > LISTED:
        print(f"... and those of {len(done) - LISTED} more images, in {folder}")
    earlier = f", {before} of them before" if before else ""
    if done:
        print(f"in all: {in_all(done)}; each: {summary_path(folder / record)}")
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
