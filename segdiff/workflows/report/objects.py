"""The objects of a picture as columns of numbers: read from its table, or else measured on its label map."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.errors import DataError
from segdiff.inference.overlay import draw_overlay
from segdiff.workflows.report.encode import webp

MOST = 1000  # objects of a picture in its table of the page: those to look at first
CROPS, CROP = 4, 96  # of a picture, for the page's first look; pixels of a crop's sides as it is shown
Columns = dict[str, list[float | None]]


@dataclass(frozen=True)
class Crop:
    """An object cut out of its picture.

    Attributes:
        number: the object's.
        sureness: (confidence or else mean probability); what is least is shown first.
        picture: WebP.
    """

    number: int
    sureness: tuple[float, ...]
    picture: bytes = field(repr=False)


def read_objects(path: Path) -> Columns:
    """The columns of numbers of a table that `segdiff predict --instances` wrote; an empty cell is None.

    Raises:
        DataError: no such table.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, restkey="", restval="")
            names = [name for name in reader.fieldnames or () if name]
            columns: Columns = {name: [] for name in names}
            for row in reader:
                for name in names:
                    columns[name].append(_number(row[name]))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a table of objects") from error
    if "id" not in columns or any(value is None for value in columns["id"]):
        raise DataError(f"{path} is not a table of objects: it has no column id of numbers")
    return {
        name: values for name, values in columns.items() if any(value is not None for value in values) or not values
    }


def measure_labels(labels: NDArray[np.integer]) -> Columns:
    """Number, centre of mass (the middle of the first pixel is at 0.5) and area of the objects of a label map."""
    from scipy import ndimage

    areas = np.bincount(labels.ravel())
    numbers = np.flatnonzero(areas[1:]) + 1
    if not numbers.size:
        return {"id": [], "x": [], "y": [], "area": []}
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, numbers)) + 0.5
    return {
        "id": numbers.tolist(),
        "x": centres[:, 1].round(2).tolist(),
        "y": centres[:, 0].round(2).tolist(),
        "area": areas[numbers].tolist(),
    }


def least_sure(columns: Columns) -> list[int]:
    """Indices of objects, the least sure first: by confidence, then by probability; as they come without either."""
    keys = [columns[name] for name in ("confidence", "probability") if name in columns]
    values = [[math.inf if value is None else value for value in key] for key in keys]
    return sorted(range(len(columns["id"])), key=lambda index: tuple(key[index] for key in values))


def shortened(columns: Columns) -> Columns:
    """At most `MOST` objects, the least sure; in the order of the table."""
    if len(columns["id"]) <= MOST:
        return columns
    kept = sorted(least_sure(columns)[:MOST])
    return {name: [values[index] for index in kept] for name, values in columns.items()}


def crops(picture: NDArray[np.uint8], labels: NDArray[Any] | None, columns: Columns) -> list[Crop]:
    """The objects of a picture to look at first.

    Args:
        picture: uint8 (H, W, 3), at its full size.
        labels: (H, W) numbers of objects, or a mask (bool), for the outline; None draws none.
        columns: with "x" and "y"; without confidence and probability no object is more doubtful than others, and
            none is cut out.
    """
    keys = [name for name in ("confidence", "probability") if name in columns]
    if not keys or not {"x", "y"} <= columns.keys():
        return []
    found = []
    for index in least_sure(columns)[:CROPS]:
        x, y = columns["x"][index], columns["y"][index]
        if x is None or y is None:
            continue
        area = columns["area"][index] if "area" in columns else None
        side = min(max(24, round(3 * math.sqrt(area or 64))), *picture.shape[:2])
        top, left = (
            int(min(max(0, middle - side / 2), length - side))
            for middle, length in zip((y, x), picture.shape[:2], strict=True)
        )
        place = np.s_[top : top + side, left : left + side]
        sureness = tuple(math.inf if (value := columns[key][index]) is None else value for key in keys)
        number = int(columns["id"][index] or 0)
        inside = np.zeros((side, side), bool)
        if labels is not None:
            inside = labels[place] if labels.dtype == np.bool_ else labels[place] == number
        found.append(Crop(number, sureness, _crop(picture[place], inside)))
    return found


def _crop(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> bytes:
    from PIL import Image

    large = np.array(Image.fromarray(np.ascontiguousarray(picture)).resize((CROP, CROP), Image.Resampling.BICUBIC))
    at = np.arange(CROP) * len(mask) // CROP
    return webp(draw_overlay(large, mask[at[:, None], at]))


def _number(text: str) -> float | None:
    """A cell; whole numbers stay whole."""
    try:
        value = float(text)
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    return int(value) if value == int(value) and "." not in text else value
