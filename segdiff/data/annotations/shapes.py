"""Annotated objects, whatever the format: polygons and bitmaps in one frame.

The frame: pixel (column c, row r) covers [c, c + 1) x [r, r + 1), so that its centre lies at (c + 0.5, r + 0.5).
QuPath, COCO, ImageJ and Labelme use it; readers of formats that put centres at integers add 0.5.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

LARGEST_RADIUS = 2**13  # pixels
NO_AREA = "shapes without area (points, lines)"  # as `AnnotatedPicture.left_out` counts them
# Rings of float64 (n, 2), n >= 0, columns x and y: the outside, then the holes. The last point may repeat the first.
Polygon = tuple[NDArray[np.float64], ...]


@dataclass(frozen=True, eq=False)
class Bitmap:
    """Pixels of an object within their own rectangle.

    Attributes:
        top, left: row and column of its first pixel in the picture; may be negative.
        pixels: bool (h, w).
    """

    top: int
    left: int
    pixels: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Annotation:
    """One object: the union of its polygons and its bitmap.

    Attributes:
        polygons: parts of the object; none where it is a bitmap alone.
        bitmap: of formats that store pixels; else None.
        class_name: None where the file gives none.
        crowd: a region of several objects that are not told apart (COCO's `iscrowd`).
    """

    polygons: tuple[Polygon, ...] = ()
    bitmap: Bitmap | None = None
    class_name: str | None = None
    crowd: bool = False


@dataclass(frozen=True, eq=False)
class AnnotatedPicture:
    """The objects of one picture.

    Attributes:
        annotations: in the order of the file.
        size: (height, width) where the file gives it, else None.
        picture: file name of the picture where the file gives it, else None.
        left_out: what the file holds beside objects, and how many of each (`NO_AREA`: 3).
    """

    annotations: list[Annotation]
    size: tuple[int, int] | None = None
    picture: str | None = None
    left_out: dict[str, int] = field(default_factory=dict)

    def classes(self) -> set[str]:
        """Names of the classes of the objects."""
        return {one.class_name for one in self.annotations if one.class_name is not None}

    def only(self, classes: Iterable[str] | None) -> AnnotatedPicture:
        """Keep the objects of these classes; None keeps all."""
        if classes is None:
            return self
        wanted = set(classes)
        return replace(self, annotations=[one for one in self.annotations if one.class_name in wanted])


def ellipse(x: float, y: float, across: float, down: float) -> Bitmap:
    """The pixels whose centres lie in an ellipse.

    Args:
        x, y: its centre in the frame.
        across, down: half its width and height, in pixels; up to `LARGEST_RADIUS`.
    Raises:
        ValueError: a radius that is not a number, or larger than that.
    """
    if not max(across, down) <= LARGEST_RADIUS:
        raise ValueError(f"an ellipse of {across} x {down} pixels")
    left, top = math.ceil(x - across - 0.5), math.ceil(y - down - 0.5)
    right, bottom = math.floor(x + across - 0.5) + 1, math.floor(y + down - 0.5) + 1
    if min(across, down) <= 0 or right <= left or bottom <= top:
        return Bitmap(top, left, np.zeros((0, 0), bool))
    columns, rows = np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5
    return Bitmap(top, left, ((columns - x) / across) ** 2 + ((rows[:, None] - y) / down) ** 2 <= 1)
