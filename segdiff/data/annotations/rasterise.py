"""From annotated objects to a label map: the one rule of which pixels are inside.

A pixel belongs to a polygon when its centre lies within it or on its boundary, holes taken out (a hole's own boundary
is the polygon's). Where lines cross, inside and outside alternate (even-odd). Shapely's predicates are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segdiff.data.annotations.shapes import Annotation, Bitmap, Polygon
from segdiff.errors import DataError

if TYPE_CHECKING:
    import shapely

# What `rasterise` does, as a number: raised when its output changes, so that cached masks are made anew.
RASTERISER_VERSION = 2
TILE = 64  # pixels: larger polygons are filled by tiles, of which only those on the boundary are tested by pixel
OUTSIDE = 1.0  # pixels beyond the border up to which an object may lie and be of this picture
LARGEST = 2.0**31  # coordinates beyond are no places in a picture


def rasterise(
    annotations: Sequence[Annotation], height: int, width: int, small_on_top: bool = False
) -> tuple[NDArray[np.int32], dict[str, int]]:
    """Draw objects into a label map.

    Args:
        annotations: objects in the frame of `segdiff.data.annotations.shapes`; what reaches over the border is clipped.
        height: of the picture, in pixels.
        width: likewise.
        small_on_top: who keeps a pixel that several objects cover. False: the earlier, as in MoNuSeg's own instance
            masks. True: the one of fewer pixels, so that a region does not hide the objects within it.
    Returns:
        labels: int32 (height, width), 0 the background, 1..drawn the objects in their order, without gaps.
        report: counts. polygons = drawn + degenerate + hidden.
            drawn: have at least one pixel of their own;
            degenerate: fewer than 3 different vertices, no area, or a coordinate that is not finite;
            hidden: no pixel left, being too small, outside the picture, or covered by others;
            clipped: those of `drawn` that reach over the border.
    """
    report = {"polygons": len(annotations), "drawn": 0, "degenerate": 0, "clipped": 0, "hidden": 0}
    covers = [None if is_degenerate(one) else cover(one, height, width) for one in annotations]
    order = range(len(covers))
    if small_on_top:
        order = sorted(order, key=lambda i: 0 if covers[i] is None else int(covers[i].pixels.sum()))  # type: ignore
    found = np.zeros((height, width), dtype=np.int32)
    for i in order:
        own = covers[i]
        if own is None:
            report["degenerate"] += 1
            continue
        part = found[own.top : own.top + own.pixels.shape[0], own.left : own.left + own.pixels.shape[1]]
        free = own.pixels & (part == 0)
        if not free.any():
            report["hidden"] += 1
            continue
        report["drawn"] += 1
        report["clipped"] += reaches_over(annotations[i], height, width)
        part[free] = i + 1
    return _without_gaps(found, len(annotations)), report


def check_inside(annotations: Sequence[Annotation], height: int, width: int, where: str) -> None:
    """Refuse objects that lie outside their picture: they were drawn at another scale, or in another one.

    Args:
        annotations: in the order of their file.
        height, width: of the picture.
        where: names the file in errors.
    Raises:
        DataError: an object that lies outside by more than `OUTSIDE`.
    """
    for number, one in enumerate(annotations, start=1):
        if is_degenerate(one):
            continue
        left, top, right, bottom = extent(one)
        if right < -OUTSIDE or bottom < -OUTSIDE or left > width + OUTSIDE or top > height + OUTSIDE:
            raise DataError(
                f"{where}: object {number} lies outside the image, {height} x {width} (height x width), at x {left:g}, "
                f"y {top:g}: it is of another scale or another picture"
            )


def cover(annotation: Annotation, height: int, width: int) -> Bitmap:
    """The pixels of a picture that an object covers; an empty bitmap where there is none.

    Args:
        annotation: not degenerate.
        height, width: of the picture; what lies outside is cut off.
    """
    polygons = [polygon for polygon in annotation.polygons if not _flat(polygon)]
    boxes = [_box(polygon[0]) for polygon in polygons]
    bitmap = annotation.bitmap
    if bitmap is not None:
        boxes.append((bitmap.top, bitmap.left, *np.add((bitmap.top, bitmap.left), bitmap.pixels.shape).tolist()))
    top, left = (max(0, min(box[i] for box in boxes)) for i in (0, 1))
    bottom, right = (min(size, max(box[i] for box in boxes)) for i, size in ((2, height), (3, width)))
    if bottom <= top or right <= left:
        return Bitmap(0, 0, np.zeros((0, 0), bool))
    pixels = np.zeros((bottom - top, right - left), bool)
    for polygon in polygons:
        pixels |= _inside(polygon, top, left, pixels.shape)
    if bitmap is not None:
        _put(bitmap, pixels, top, left)
    return Bitmap(top, left, pixels)


def whole(bitmap: Bitmap, height: int, width: int) -> NDArray[np.bool_]:
    """bool (height, width): a bitmap in its picture."""
    pixels = np.zeros((height, width), bool)
    _put(bitmap, pixels, 0, 0)
    return pixels


def is_degenerate(annotation: Annotation) -> bool:
    """Whether an object has no area whatever the grid: no bitmap, and polygons of fewer than 3 different vertices, on
    one line, or with a coordinate that is not finite."""
    return annotation.bitmap is None and all(_flat(polygon) for polygon in annotation.polygons)


def extent(annotation: Annotation) -> tuple[float, float, float, float]:
    """Of an object that is not degenerate: (left, top, right, bottom) in the frame."""
    corners = [polygon[0] for polygon in annotation.polygons if not _flat(polygon)]
    if annotation.bitmap is not None:
        one = annotation.bitmap
        low = np.array([one.left, one.top], np.float64)
        corners = [*corners, np.stack([low, low + one.pixels.shape[::-1]])]
    points = np.concatenate(corners)
    return (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())


def reaches_over(annotation: Annotation, height: int, width: int) -> bool:
    """Whether a part of an object lies outside the picture."""
    left, top, right, bottom = extent(annotation)
    return left < 0 or top < 0 or right > width or bottom > height


def _flat(polygon: Polygon) -> bool:
    outside = polygon[0] if polygon else np.zeros((0, 2))
    if len(outside) < 3 or not all(np.isfinite(ring).all() and (np.abs(ring) < LARGEST).all() for ring in polygon):
        return True
    # All vertices on one line (or point). A bow tie's signed area may be 0, too, but it has an inside.
    away = outside - outside[0]
    far = away[np.argmax((away**2).sum(axis=1))]
    aside = np.abs(away[:, 0] * far[1] - away[:, 1] * far[0]).max()
    return bool(aside <= 1e-9 * np.hypot(*far))


def _box(ring: NDArray[np.float64]) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) of the pixels whose centres a ring may hold."""
    low, high = np.ceil(ring.min(axis=0) - 0.5), np.floor(ring.max(axis=0) - 0.5) + 1
    return int(low[1]), int(low[0]), int(high[1]), int(high[0])


def _inside(polygon: Polygon, top: int, left: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """bool (h, w): the pixels from (top, left) on whose centres the polygon holds."""
    import shapely

    holes = [ring for ring in polygon[1:] if len(ring) >= 3]
    geometry = shapely.Polygon(polygon[0], holes)
    shapely.prepare(geometry)
    inside = np.zeros(shape, bool)
    if max(shape) <= 4 * TILE or not shapely.is_valid(geometry):  # boxes against an invalid one have no answer
        tiles = [(0, 0, shape[0], shape[1])]
    else:
        tiles = _boundary_tiles(geometry, inside, top, left)
    for row, column, height, width in tiles:
        part = inside[row : row + height, column : column + width]
        x, y = np.meshgrid(
            left + column + 0.5 + np.arange(part.shape[1]), top + row + 0.5 + np.arange(part.shape[0]), copy=False
        )
        part[:] = shapely.intersects_xy(geometry, x, y)
    return inside


def _boundary_tiles(
    geometry: shapely.Polygon, inside: NDArray[np.bool_], top: int, left: int
) -> list[tuple[int, int, int, int]]:
    """Fill the tiles that lie within the polygon; return (row, column, height, width) of those on its boundary."""
    import shapely

    rows, columns = np.mgrid[0 : inside.shape[0] : TILE, 0 : inside.shape[1] : TILE].reshape(2, -1)
    boxes = shapely.box(left + columns, top + rows, left + columns + TILE, top + rows + TILE)
    within = shapely.contains_properly(geometry, boxes)
    for row, column in zip(rows[within].tolist(), columns[within].tolist(), strict=True):
        inside[row : row + TILE, column : column + TILE] = True
    rest = ~within & shapely.intersects(geometry, boxes)
    return [(row, column, TILE, TILE) for row, column in zip(rows[rest].tolist(), columns[rest].tolist(), strict=True)]


def _put(bitmap: Bitmap, pixels: NDArray[np.bool_], top: int, left: int) -> None:
    """Add to `pixels`, whose first pixel is (top, left), what it shares with a bitmap."""
    height, width = bitmap.pixels.shape
    rows = slice(max(top, bitmap.top), min(top + pixels.shape[0], bitmap.top + height))
    columns = slice(max(left, bitmap.left), min(left + pixels.shape[1], bitmap.left + width))
    if rows.start < rows.stop and columns.start < columns.stop:
        ours = pixels[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        theirs = slice(rows.start - bitmap.top, rows.stop - bitmap.top)
        ours |= bitmap.pixels[theirs, columns.start - bitmap.left : columns.stop - bitmap.left]


def _without_gaps(labels: NDArray[np.int32], largest: int) -> NDArray[np.int32]:
    present = np.bincount(labels.ravel(), minlength=largest + 1) > 0
    present[0] = False
    return (np.cumsum(present) * present).astype(np.int32)[labels]
