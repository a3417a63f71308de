"""`segdiff report`: a page to look at results with."""

from __future__ import annotations

from collections.abc import Sequence

from segdiff.cli.options import Parser, positive_int

PROG = "segdiff report"


def build_parser() -> Parser:
    """Build the parser of its options."""
    parser = Parser(
        prog=PROG,
        description="Write a page (HTML) to look at results with, in any browser and without a network: failures and\n"
        "warnings, what to look at first, every picture with its layers and objects, decisions saved as CSV.",
    )
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        help="a folder that predict wrote, the folder of a training, a JSON file of evaluate or score; predictions and "
        "scores of the same pictures may be given together",
    )
    parser.add_argument("--out", metavar="FILE.html", help="(default: report.html in the folder)")
    parser.add_argument("--overwrite", action="store_true", help="replace a report that is there")
    parser.add_argument("--title", metavar="TEXT", help="of the page")
    parser.add_argument("--images", metavar="DIR", help="where the predicted pictures lie now, if they were moved")
    parser.add_argument(
        "--size",
        type=positive_int,
        default=1024,
        metavar="PIXELS",
        help="longest side of a picture in full view; larger pictures are made small (default: 1024)",
    )
    parser.add_argument(
        "--single-file",
        action="store_true",
        help="one file, however large (default: full views of many pictures go into a folder beside the page)",
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; 0 when the page is written."""
    args = build_parser().parse(argv)

    from segdiff.cli.progress import ImageProgress
    from segdiff.workflows.report.write import ReportOptions, write_report

    options = ReportOptions(args.title, args.size, args.images, args.single_file, args.overwrite)
    with ImageProgress() as progress:
        written = write_report(args.paths, args.out, options, progress)
    told = [f"{written.pictures} picture(s)"]
    if written.failed:
        told.append(f"{written.failed} failed")
    if written.warned:
        told.append(f"{written.warned} with warnings")
    print(f"{', '.join(told)}; open in a browser: {written.page}")
    if written.beside is not None:
        print(f"their full views: {written.beside} (keep it beside the page)")
    return 0
