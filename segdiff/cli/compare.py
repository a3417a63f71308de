"""`segdiff compare`: the paired difference between files of scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from segdiff.cli.options import Parser

PROG = "segdiff compare"


def build_parser() -> Parser:
    """Build the parser of its options."""
    parser = Parser(
        prog=PROG,
        description="The difference of scores on the same images, each file less the first, with the 95 % interval\n"
        "of its mean over images.",
    )
    parser.add_argument("first", metavar="A.json", help="what evaluate or score wrote with --json")
    parser.add_argument("others", metavar="B.json", nargs="+", help="the same; several are each compared to the first")
    parser.add_argument("--metrics", metavar="A,B,...", help="only these (default: all that both have)")
    parser.add_argument("--json", metavar="FILE", help="write the comparisons there as well")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command; 0 when all files are compared."""
    args = build_parser().parse(argv)

    from segdiff.data.writers import write_json
    from segdiff.workflows.compare import compare, read_scores

    metrics = [name.strip() for name in args.metrics.split(",")] if args.metrics else None
    first = read_scores(args.first)
    comparisons = [compare(first, read_scores(path), metrics) for path in args.others]
    print("\n\n".join(table(comparison) for comparison in comparisons))
    print("\nIntervals: bootstrap over images, 10,000 draws; they say nothing of how another training would come out.")
    if args.json:
        write_json(args.json, {"format_version": 1, "comparisons": comparisons})
        print(f"comparisons: {args.json}")
    return 0


def table(comparison: dict[str, Any]) -> str:
    """A comparison for people."""
    metrics = comparison["metrics"]
    first = max(map(len, [*metrics, "metric"]))
    head = f"{'metric':<{first}}  {'first':>8}  {'other':>8}  {'difference':>10}  {'95 % interval':<20}  better/worse"
    lines = [f"{comparison['other']} less {comparison['first']}, {comparison['n']} image(s)", head]
    for name, row in metrics.items():
        interval = "-" if row["low"] is None else f"[{row['low']:+.4f}, {row['high']:+.4f}]"
        numbers = f"{row['first']:>8.4f}  {row['other']:>8.4f}  {row['difference']:>+10.4f}"
        counts = f"{row['better']}/{row['worse']}" + _verdict(row) + _count(row, comparison)
        lines.append(f"{name:<{first}}  {numbers}  {interval:<20}  {counts}")
    return "\n".join([*lines, *(f"note: {note}" for note in comparison["notes"])])


def _verdict(row: dict[str, Any]) -> str:
    if row["low"] is None:
        return ""
    return "" if row["low"] > 0 or row["high"] < 0 else "  (0 lies within)"


def _count(row: dict[str, Any], comparison: dict[str, Any]) -> str:
    return "" if row["n"] == comparison["n"] else f"  ({row['n']} images have a value)"
