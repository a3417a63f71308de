"""Parts of an image that are to be looked at: a rectangle, or polygons of a GeoJSON file.

Coordinates are pixels of the full image; pixel (column c, row r) covers [c, c + 1) x [r, r + 1) and belongs to a
polygon when its centre, at c + 0.5, r + 0.5, does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.windows import Window
from segdiff.errors import DataError, MissingError

MOST_BYTES = 2**29  # of GeoJSON
Polygon = Sequence[NDArray[np.float64]]  # rings (n, 2) of x and y: the outer one, then its holes


@dataclass(frozen=True)
class Region:
    """The union of polygons.

    Attributes:
        polygons: each a list of rings, float64 (n, 2) of x and y; the first is the outline, the others are its holes.
    """

    polygons: tuple[Polygon, ...]

    @classmethod
    def rectangle(cls, window: Window) -> Region:
        top, left, bottom, right = window.top, window.left, window.rows.stop, window.columns.stop
        ring = np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]], np.float64)
        return cls(((ring,),))

    def bounds(self, height: int, width: int) -> Window:
        """Return the smallest rectangle of an image's pixels that holds all of it; empty if it lies outside."""
        points = np.concatenate([polygon[0] for polygon in self.polygons] or [np.zeros((1, 2))])
        left, top = np.floor(points.min(axis=0)).astype(int).tolist()
        right, bottom = np.ceil(points.max(axis=0)).astype(int).tolist()
        return Window(top, left, bottom - top, right - left).clipped(height, width)

    def mask(self, window: Window) -> NDArray[np.bool_]:
        """Return which pixels of a window belong to it: bool (height, width)."""
        inside = np.zeros((window.height, window.width), bool)
        for outline, *holes in self.polygons:
            low, high = outline.min(axis=0), outline.max(axis=0)
            if high[0] < window.left or high[1] < window.top:
                continue
            if low[0] > window.columns.stop or low[1] > window.rows.stop:
                continue
            filled = _filled(outline, window)
            for hole in holes:
                filled &= ~_filled(hole, window)
            inside |= filled
        return inside

    def touches(self, window: Window) -> bool:
        """Tell whether any pixel of a window belongs to it."""
        return bool(self.mask(window).any())

    def geojson(self, **properties: Any) -> dict[str, Any]:
        """Return it as a FeatureCollection, one Feature a polygon, as QuPath's annotations are."""
        return {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "geometry": {"type": "Polygon", "coordinates": [ring.tolist() for ring in polygon]},
                    "properties": {"objectType": "annotation", **properties},
                }
                for polygon in self.polygons
            ],
        }


def parse_region(text: str, height: int, width: int) -> Region:
    """Understand what a user gives as a region: "x,y,w,h" in pixels of the full image, or the path of a GeoJSON file.

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
    if not region.bounds(height, width).height or not region.bounds(height, width).width:
        raise DataError(f"region {text} lies outside the image, which is {width} wide and {height} high")
    return region


def read_region(path: str | Path) -> Region:
    """Read the polygons of a GeoJSON file: of a FeatureCollection, a Feature, a list of them, or a geometry.

    Raises:
        MissingError: there is no such file. DataError: not GeoJSON, or without a polygon.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(f"no such region: {path}")
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"{path} holds more than {MOST_BYTES // 2**20} MB; a region is a few polygons")
    try:
        polygons = tuple(_polygons(json.loads(path.read_text(encoding="utf-8"))))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} is not GeoJSON with polygons ({' '.join(str(error).split())})") from error
    if not polygons:
        raise DataError(f"{path} holds no polygon: draw the region as a closed shape")
    return Region(polygons)


def _polygons(content: Any) -> Iterator[Polygon]:
    if isinstance(content, list):
        for one in content:
            yield from _polygons(one)
        return
    kind = content["type"]
    if kind == "FeatureCollection":
        yield from _polygons(content["features"])
    elif kind == "Feature":
        if content["geometry"] is not None:
            yield from _polygons(content["geometry"])
    elif kind == "GeometryCollection":
        yield from _polygons(content["geometries"])
    elif kind == "Polygon":
        yield tuple(_ring(ring) for ring in content["coordinates"])
    elif kind == "MultiPolygon":
        for rings in content["coordinates"]:
            yield tuple(_ring(ring) for ring in rings)


def _ring(points: Any) -> NDArray[np.float64]:
    ring = np.asarray([point[:2] for point in points], np.float64)
    if ring.ndim != 2 or len(ring) < 3 or not np.isfinite(ring).all():
        raise ValueError("a ring needs three points of two finite numbers")
    return ring


def _filled(ring: NDArray[np.float64], window: Window) -> NDArray[np.bool_]:
    from skimage.draw import polygon

    # skimage takes centres to be at whole numbers.
    rows, columns = polygon(
        ring[:, 1] - window.top - 0.5, ring[:, 0] - window.left - 0.5, (window.height, window.width)
    )
    filled = np.zeros((window.height, window.width), bool)
    filled[rows, columns] = True
    return filled
