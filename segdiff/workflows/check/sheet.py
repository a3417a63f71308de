"""A contact sheet: pictures with the outlines of their truth, to look over a data set at a glance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segdiff.data.datasets.base import Sample
from segdiff.data.images import to_rgb
from segdiff.data.resize import interpolate, truth_to_grid
from segdiff.inference.overlay import draw_overlay

CELL, CAPTION, GAP = 224, 30, 8  # pixels
COLUMNS = 6
LETTERS = 34  # of a caption


def cell(sample: Sample) -> NDArray[np.uint8]:
    """A sample with outlines, as large as a cell admits, uint8 (h, w, 3)."""
    height, width = sample.image.shape[:2]
    factor = CELL / max(height, width)
    size = (max(1, round(height * factor)), max(1, round(width * factor)))
    picture = interpolate(to_rgb(sample.image), size, antialias=True).clip(0, 255).round().astype(np.uint8)
    truth = truth_to_grid(np.asarray(sample.mask.any(axis=(0, 1))), size)
    return draw_overlay(picture, truth)


def contact_sheet(cells: Sequence[tuple[str, str, NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    """One picture of many.

    cells: (first line, second line, picture of `cell`).
    """
    from PIL import Image, ImageDraw

    columns = min(COLUMNS, len(cells))
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    heights = [max(picture.shape[0] for _, _, picture in row) for row in rows]
    size = (columns * (CELL + GAP) + GAP, sum(heights) + len(rows) * (CAPTION + GAP) + GAP)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    y = GAP
    for row, height in zip(rows, heights, strict=True):
        for column, (first, second, picture) in enumerate(row):
            x = GAP + column * (CELL + GAP)
            sheet.paste(Image.fromarray(picture), (x, y))
            draw.text((x, y + height + 3), _short(first), fill="black")
            draw.text((x, y + height + 15), _short(second), fill=(110, 110, 110))
        y += height + CAPTION + GAP
    return np.asarray(sheet)


def evenly(count: int, wanted: int) -> list[int]:
    """At most `wanted` of `count` numbers, evenly spread: (10, 3) -> [0, 4, 9]."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, wanted))}) if count else []


def _short(text: str) -> str:
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 3]}..."
