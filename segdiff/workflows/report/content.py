"""What the page is told: rows, columns, histograms, what to look at first; plain values, ready for JSON."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from segdiff.workflows.report.attention import doubt_column, judge, order
from segdiff.workflows.report.encode import webp
from segdiff.workflows.report.histograms import histogram
from segdiff.workflows.report.layers import Shown
from segdiff.workflows.report.page import data_url
from segdiff.workflows.report.rows import Column, Source

OWN = (
    Column("objects", "Objects", digits=0),
    Column("area", "Median area", "px", 0),
    Column("area_um2", "Median area", "µm²", 1),
    Column("share", "Mask", "%", 1),
    Column("confidence", "Confidence", digits=2, better=1),
    Column("probability", "Probability", digits=2, better=1),
    Column("uncertainty", "Uncertainty", digits=3, better=-1),
)
FIRST_OBJECTS = 24
PANEL_WIDTH = 1400
MOST_SCORES, FEWEST = 4, 5  # histograms of scores; values that are worth one


def content_of(source: Source, pictures: Sequence[Shown], address: Callable[[Path], str]) -> dict[str, Any]:
    """All that the page shows at once.

    Args:
        source: what the report is of.
        pictures: of its rows, in their order; their layers are not needed any more.
        address: a link from the page to a file.
    """
    columns = [
        column
        for column in (*source.metrics, *OWN)
        if any(shown.values.get(column.key) is not None for shown in pictures)
    ]
    attention = judge(pictures, columns)
    doubt = doubt_column(pictures, columns)
    ranks = {index: rank for rank, index in enumerate(order(pictures, attention, doubt))}
    rows = [
        {
            "name": shown.row.name,
            "status": shown.row.status,
            "image": shown.row.image,
            "error": shown.row.error,
            "warnings": [*shown.row.warnings, *shown.notes],
            "reasons": attention[index].reasons,
            "weight": attention[index].weight,
            "rank": ranks[index],
            "values": {column.key: _number(shown.values.get(column.key)) for column in columns},
            "truth": shown.truth,
            "size": shown.size,
            "scale": shown.scale,
            "facts": {key: str(value) for key, value in shown.row.facts.items()},
            "files": _files(shown, address),
        }
        for index, shown in enumerate(pictures)
    ]
    return {
        "kind": source.kind,
        "doubt": None if doubt is None else doubt.key,
        "columns": [asdict(column) for column in columns],
        "rows": rows,
        "means": source.means,
        "histograms": _histograms(source, pictures),
        "objects": _objects_first(pictures),
        "curves": source.curves,
        "panels": [one for caption, path in source.panels if (one := _panel(caption, path)) is not None],
        "settings": source.settings,
        "notes": source.notes,
        "command": source.command,
    }


def details_of(shown: Shown) -> dict[str, Any]:
    """What the full view of a picture shows beside its row."""
    return {
        "layers": {kind: data_url(media, content) for kind, (media, content) in shown.layers.items()},
        "objects": shown.objects,
    }


def _files(shown: Shown, address: Callable[[Path], str]) -> list[tuple[str, str]]:
    named = {**({"picture": shown.row.picture} if shown.row.picture else {}), **shown.row.outputs}
    return [(kind, address(path)) for kind, path in named.items()]


def _histograms(source: Source, pictures: Sequence[Shown]) -> list[dict[str, Any]]:
    found = []
    for column in source.metrics[:MOST_SCORES]:
        values = [value for shown in pictures if (value := shown.values.get(column.key)) is not None]
        if len(values) >= FEWEST:
            found.append(histogram(f"{column.title} of pictures", column.unit, values, column.key, column.digits))
    micrometres = [area for shown in pictures for area in shown.areas_um2]
    pixels = [area for shown in pictures for area in shown.areas]
    if len(micrometres) == len(pixels):
        found.append(histogram("Area of objects", "µm²", micrometres, "area_um2", 1))
    else:
        found.append(histogram("Area of objects", "px", pixels, "area"))
    confidences = [value for shown in pictures for value in shown.confidences]
    found.append(histogram("Confidence of objects", "", confidences, "confidence", 2))
    return [one for one in found if one is not None]


def _objects_first(pictures: Sequence[Shown]) -> list[dict[str, Any]]:
    """The objects of all pictures that their models are least sure of."""
    every = [(crop, index) for index, shown in enumerate(pictures) for crop in shown.crops]
    every.sort(key=lambda one: (one[0].sureness, one[1], one[0].number))
    return [
        {
            "row": index,
            "number": crop.number,
            "sureness": _number(crop.sureness[0]),
            "picture": data_url("image/webp", crop.picture),
        }
        for crop, index in every[:FIRST_OBJECTS]
    ]


def _number(value: float | None) -> float | None:
    """Six digits are more than a page shows, and JSON has no infinity."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def _panel(caption: str, path: Path) -> dict[str, str] | None:
    """A picture of the training's own, made small; None where its file is broken: nothing depends on it."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(path.read_bytes())) as picture:
            rgb = picture.convert("RGB")
    except OSError:
        return None
    if rgb.width > PANEL_WIDTH:
        rgb = rgb.resize((PANEL_WIDTH, round(rgb.height * PANEL_WIDTH / rgb.width)))
    return {"caption": caption, "picture": data_url("image/webp", webp(np.asarray(rgb)))}
