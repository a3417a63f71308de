"""`segdiff export`: a trained model for other runtimes."""

from __future__ import annotations

from collections.abc import Sequence

from segdiff.cli.options import Parser

PROG = "segdiff export"
FORMATS = ("onnx",)


def build_parser() -> Parser:
    """Build the parser of its options."""
    parser = Parser(
        prog=PROG,
        description="Write a model's network as ONNX files, which ONNX Runtime and OpenVINO run (predict --runtime).",
    )
    parser.add_argument(
        "--model", required=True, metavar="NAME", help="of a model that comes with segdiff, a folder, or a hub name"
    )
    parser.add_argument("--format", choices=FORMATS, default="onnx", help="(default: onnx)")
    parser.add_argument(
        "--out", metavar="DIR", help="another folder than onnx/ in the model's, where --runtime looks for the files"
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; 0 when the files are written."""
    args = build_parser().parse(argv)

    from segdiff.artifacts.exports import save_onnx
    from segdiff.artifacts.hub import from_pretrained

    for path in save_onnx(from_pretrained(args.model), args.out):
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    return 0
