"""Parts of an image that are to be looked at: a rectangle, or the shapes of an annotation file.

Coordinates are pixels of the full image, in the frame of `segdiff.data.annotations.shapes`; a pixel belongs to a shape
when its centre does (`segdiff.data.annotations.rasterise`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.annotations import read_annotations
from segdiff.data.annotations.geojson import feature
from segdiff.data.annotations.rasterise import cover, extent, is_degenerate
from segdiff.data.annotations.shapes import Annotation, Bitmap, Polygon
from segdiff.data.windows import Window
from segdiff.errors import DataError, MissingError


@dataclass(frozen=True, eq=False)
class Region:
    """The union of shapes.

    Attributes:
        shapes: each with an area.
    """

    shapes: tuple[Annotation, ...]

    @classmethod
    def of(cls, polygons: Iterable[Polygon]) -> Region:
        """Make a region of polygons: rings of x and y, the outside first, then the holes."""
        return cls(tuple(Annotation((polygon,)) for polygon in polygons))

    @classmethod
    def rectangle(cls, window: Window) -> Region:
        """Make a region of a window."""
        top, left, bottom, right = window.top, window.left, window.rows.stop, window.columns.stop
        ring = np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]], np.float64)
        return cls.of([(ring,)])

    def bounds(self, height: int, width: int) -> Window:
        """Return the smallest rectangle of an image's pixels that holds all of it; empty if it lies outside."""
        if not self.shapes:
            return Window(0, 0, 0, 0)
        extents = np.array([extent(one) for one in self.shapes])
        left, top = np.floor(extents[:, :2].min(axis=0)).astype(int).tolist()
        right, bottom = np.ceil(extents[:, 2:].max(axis=0)).astype(int).tolist()
        return Window(top, left, bottom - top, right - left).clipped(height, width)

    def mask(self, window: Window) -> NDArray[np.bool_]:
        """Return which pixels of a window belong to it: bool (height, width)."""
        inside = np.zeros((window.height, window.width), bool)
        for one in self.shapes:
            left, top, right, bottom = extent(one)
            beside = right <= window.left or left >= window.columns.stop
            if beside or bottom <= window.top or top >= window.rows.stop:
                continue
            part = cover(_moved(one, window), window.height, window.width)
            rows, columns = part.pixels.shape
            inside[part.top : part.top + rows, part.left : part.left + columns] |= part.pixels
        return inside

    def touches(self, window: Window) -> bool:
        """Tell whether any pixel of a window belongs to it."""
        return bool(self.mask(window).any())

    def features(self, class_name: str) -> Iterator[dict[str, Any]]:
        """Give its polygons as annotations of QuPath, of a class (`segdiff.data.annotations.geojson`)."""
        for number, one in enumerate(self.shapes, start=1):
            yield feature(one.polygons, class_name, f"{class_name}#{number}", kind="annotation")


def parse_region(text: str, height: int, width: int) -> Region:
    """Understand what a user gives as a region: "x,y,w,h" in pixels of the full image, or the path of a file.

    Raises:
        MissingError: there is no such file.
        DataError: neither, or nothing of it lies within the image of `height` x `width` pixels.
    """
    numbers = [part.strip() for part in text.split(",")]
    if len(numbers) == 4 and all(part.lstrip("-").isdecimal() for part in numbers):
        left, top, across, down = map(int, numbers)
        if across < 1 or down < 1:
            raise DataError(f"region {text}: x,y,w,h needs a width and a height of at least one pixel")
        region = Region.rectangle(Window(top, left, down, across))
    elif "," in text and not Path(text).exists():
        raise DataError(f"region {text}: give x,y,w,h in whole pixels of the full image, or a GeoJSON file")
    else:
        region = read_region(text)
    bounds = region.bounds(height, width)
    if not bounds.height or not bounds.width:
        raise DataError(f"region {text} lies outside the image, which is {width} wide and {height} high")
    return region


def region_content(text: str | None) -> str | None:
    """Return a hash of the file that a region names; None where it names none. A file that changed has another."""
    if text is None or not Path(text).is_file():
        return None
    return hashlib.blake2b(Path(text).read_bytes(), digest_size=8).hexdigest()


def read_region(path: str | Path) -> Region:
    """Read the shapes of an annotation file (`segdiff.data.annotations`): GeoJSON as QuPath writes it, and others.

    Raises:
        MissingError: there is no such file. DataError: not such a file, of several pictures, or without an area.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(f"no such region: {path}")
    pictures = list(read_annotations(path, outline="cell").values())
    if len(pictures) != 1:
        raise DataError(f"{path} holds annotations of {len(pictures)} pictures; a region is of one")
    shapes = tuple(one for one in pictures[0].annotations if not is_degenerate(one))
    if not shapes:
        raise DataError(f"{path} holds no shape with an area: draw the region as a closed shape")
    return Region(shapes)


def _moved(one: Annotation, window: Window) -> Annotation:
    """A shape in the frame of a window."""
    corner = np.array([window.left, window.top], np.float64)
    polygons = tuple(tuple(ring - corner for ring in polygon) for polygon in one.polygons)
    bitmap = one.bitmap
    if bitmap is not None:
        bitmap = Bitmap(bitmap.top - window.top, bitmap.left - window.left, bitmap.pixels)
    return replace(one, polygons=polygons, bitmap=bitmap)
