"""The page: plain values into the template, so that no name of a file is ever taken for markup or for a program."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

SCRIPTS = ("base", "charts", "decisions", "table", "viewer", "main")
LEGEND = 9  # colours of a legend's gradient


def data_json(content: Any) -> str:
    """JSON that may stand within a script element: no "<" ends it, and all of it is ASCII."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def data_url(media_type: str, content: bytes) -> str:
    """The bytes of a picture as its address."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def sidecar(report: str, index: int, details: str) -> bytes:
    """A file beside the page with the details of one picture.

    A script, since that is what a page opened as a file may load from beside it; it only hands over data.
    """
    return f"segdiffReport.receive({data_json(report)},{index},{details});\n".encode("ascii")


def render(
    title: str,
    data: Mapping[str, Any],
    thumbnails: Sequence[str | None],
    details: Iterable[tuple[int, str]],
) -> Iterator[bytes]:
    """The page in pieces.

    Args:
        title: of the page.
        data: all that it shows at once, plain values.
        thumbnails: addresses of small pictures, in the order of the rows; None where there is none.
        details: (row, JSON) of the pictures whose details lie in the page. They come after its program: it works while
            the rest is read.
    """
    style, script = _text("report.css"), _script()
    head = _template().render(
        title=title,
        style=style,
        script=script,
        data=data_json(data),
        thumbnails=data_json(list(thumbnails)),
        policy=_policy(style, script),
        legends=legends(),
    )
    before, after = head.split("<!-- details -->")
    yield before.encode("utf-8")
    for index, text in details:
        yield f'<script type="application/json" id="details-{index}">{text}</script>\n'.encode("ascii")
    yield after.encode("utf-8")


def legends() -> dict[str, dict[str, Any]]:
    """Of each map: the colours of its legend and the value of the last one."""
    from segdiff.workflows.report.encode import COLOURS, palette

    return {
        kind: {"top": top, "colours": [f"rgb({r},{g},{b})" for r, g, b in palette(kind, LEGEND).tolist()]}
        for kind, (_, top) in COLOURS.items()
    }


def _policy(style: str, script: str) -> str:
    """What the page may load: its own style and program, files beside it, pictures within it; no network."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; img-src data: blob:; style-src 'sha256-{hashes[0]}'; "
        f"script-src 'sha256-{hashes[1]}' 'self' file:; base-uri 'none'; form-action 'none'"
    )


@cache
def _script() -> str:
    parts = "\n".join(_text(f"{name}.js") for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}\n}})();\n'


@cache
def _text(name: str) -> str:
    return (files("segdiff.workflows.report") / "templates" / name).read_text(encoding="utf-8")


@cache
def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(_text("report.html"))
