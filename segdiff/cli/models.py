"""`segdiff models`: the models that come with segdiff."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from segdiff.cli.options import Parser

if TYPE_CHECKING:
    from segdiff.artifacts.names import Shipped

PROG = "segdiff models"


def build_parser() -> Parser:
    """Build the parser of its options."""
    parser = Parser(
        prog=PROG,
        description="List the models that come with segdiff: what --model takes, beside folders and hub names.",
    )
    parser.add_argument("--json", action="store_true", help="everything that is known of them, for programs")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    args = build_parser().parse(argv)

    from segdiff.artifacts.names import SHIPPED

    if args.json:
        print(json.dumps([_plain(model) for model in SHIPPED], indent=2))
        return 0
    print("\n\n".join("\n".join(_lines(model)) for model in SHIPPED))
    return 0


def _plain(model: Shipped) -> dict[str, Any]:
    where = str(model.folder) if model.there else None
    return {"name": model.name, "summary": model.summary, "folder": where, **model.facts()}


def _lines(model: Shipped) -> list[str]:
    lines = [f"{model.name}: {model.summary}"]
    if not model.there:
        where = "install segdiff again" if model.inside else f"take models/{model.name} from the source repository"
        return [*lines, f"  not here: {where}"]
    facts = model.facts()
    lines += [f"  licence  {facts.get('license')}", f"  data     {facts.get('data')}"]
    lines += [f"  scores   {_score(score)}" for score in facts.get("scores") or []]
    return [*lines, f"  size     {model.megabytes():.1f} MB, in {model.folder}"]


def _score(score: Mapping[str, Any]) -> str:
    values = ", ".join(f"{name} {value:.3f}" for name, value in score["values"].items())
    return f"{values}  ({score['on']}; protocol {score['protocol']}, {score['images']} images)"
