"""`segdiff convert`: masks and annotations from one format into another."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from segdiff.cli.options import Parser

PROG = "segdiff convert"
FORMATS = ("labels", "geojson", "coco", "labelme", "roi")  # as segdiff.workflows.convert knows them (a test compares)
LISTED = 20  # so many pictures are listed on the terminal
EPILOG = """--to
  labels   label maps, STEM.tif: the number of its object for each pixel (wants the pictures' size)
  geojson  STEM.geojson for QuPath, .geojson.gz where it is large
  coco     one coco.json for all pictures (wants their size and names)
  labelme  STEM.json (wants the pictures' size)
  roi      STEM.zip, regions of ImageJ and Fiji
What is read: the same, by content; COCO polygons and run lengths; single regions (.roi); masks of any kind that
training takes. --images says where the pictures lie, for files that do not say how large they are."""


def build_parser() -> Parser:
    """Build the parser of its options."""
    parser = Parser(
        prog=PROG, description="Convert objects between label maps and the formats of other tools.", epilog=EPILOG
    )
    parser.add_argument("inputs", metavar="PATH", nargs="+", help="files, or folders of masks and annotations")
    parser.add_argument("--to", required=True, choices=FORMATS, help="format to write")
    parser.add_argument("--output-dir", required=True, metavar="DIR", help="where files go")
    parser.add_argument("--images", metavar="PATH", help="folder of the pictures, or one: their size and names")
    parser.add_argument(
        "--class-name", default="Nucleus", metavar="NAME", help="class of objects without one (default: Nucleus)"
    )
    parser.add_argument("--only", action="append", metavar="CLASS", help="objects of this class alone; repeatable")
    parser.add_argument("--outline", choices=("cell", "nucleus"), help="of QuPath's cells, which have both")
    parser.add_argument(
        "--objects",
        choices=("auto", "instances"),
        default="auto",
        help="instances: each value of a mask is one object, whatever its parts (default: auto)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist (never an input)")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; 0 done, 2 all failed, 3 some failed."""
    args = build_parser().parse(argv)

    from segdiff.cli.progress import ImageProgress
    from segdiff.workflows.convert import ConvertOptions, convert

    options = ConvertOptions(
        to=args.to,
        images=None if args.images is None else Path(args.images),
        class_name=args.class_name,
        classes=None if args.only is None else tuple(args.only),
        outline=args.outline,
        objects=args.objects,
        overwrite=args.overwrite,
    )
    with ImageProgress() as progress:
        done, failures = convert(args.inputs, args.output_dir, options, progress)
    for one in done[:LISTED]:
        print(f"{one.path}  {one.objects} object(s)")
    if len(done) > LISTED:
        print(f"... and {len(done) - LISTED} more, in {args.output_dir}")
    print(f"{len(done)} of {len(done) + len(failures)} picture(s), {sum(one.objects for one in done)} object(s)")
    for one in done:
        for note in one.notes:
            print(f"{PROG}: note on {one.source}: {note}", file=sys.stderr)
    for failure in failures:
        print(f"{PROG}: error: {failure}", file=sys.stderr)
    return 0 if not failures else 3 if done else 2
