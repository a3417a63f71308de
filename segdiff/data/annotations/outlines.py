"""From a label map to outlines, in the frame of `shapes`: exact, valid, without superfluous points.

An outline runs between the centres of pixels that are of the object and of those that are not (marching squares at
1/2), so that exactly the centres of the object's pixels lie within, and it does not touch itself whatever the shape.
Pixels that touch at a corner only are two parts. Points on a straight line between their neighbours are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.annotations.shapes import Polygon

MOSAIC = 2**22  # pixels that are traced in one go
_MARGIN = 2  # pixels around each object


@dataclass(frozen=True, eq=False)
class Outlines:
    """The outlines of several objects, in flat arrays.

    Attributes:
        labels: int64 (polygons,): the object of each polygon, ascending.
        rings: int64 (polygons + 1,): polygon i has the rings rings[i] to rings[i + 1], the outside first.
        points: int64 (rings + 1,): ring j has the vertices points[j] to points[j + 1], the first again at the end.
        vertices: float64 (n, 2), x and y, multiples of 1/2.
    """

    labels: NDArray[np.int64]
    rings: NDArray[np.int64]
    points: NDArray[np.int64]
    vertices: NDArray[np.float64]

    def __iter__(self) -> Iterator[tuple[int, tuple[Polygon, ...]]]:
        """Each object's number and polygons."""
        bounds = np.flatnonzero(np.diff(self.labels, prepend=-1, append=-1))
        for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            yield int(self.labels[first]), tuple(self._polygon(i) for i in range(first, last))

    def _polygon(self, i: int) -> Polygon:
        return tuple(
            self.vertices[self.points[j] : self.points[j + 1]] for j in range(self.rings[i], self.rings[i + 1])
        )


def outlines(
    labels: NDArray[np.integer], origin: tuple[int, int] = (0, 0)
) -> Iterator[tuple[int, tuple[Polygon, ...]]]:
    """The outline of each object: its number and its polygons, one for each part, by number.

    Args:
        labels: (H, W), 0 the background.
        origin: (row, column) of the first pixel in the picture, where `labels` is a part of it.
    """
    for batch in trace(labels, origin):
        yield from batch


def trace(labels: NDArray[np.integer], origin: tuple[int, int] = (0, 0)) -> Iterator[Outlines]:
    """The same in batches of objects, so that memory is bounded."""
    from scipy import ndimage

    boxes = ndimage.find_objects(labels)
    numbers = np.array([i for i, box in enumerate(boxes, start=1) if box is not None], np.int64)
    if not numbers.size:
        return
    starts = np.array([[s.start for s in boxes[i - 1]] for i in numbers])
    sizes = np.array([[s.stop - s.start for s in boxes[i - 1]] for i in numbers]) + _MARGIN
    batch_of = np.cumsum(sizes.prod(axis=1)) // MOSAIC
    for batch in np.unique(batch_of):
        chosen = batch_of == batch
        yield _trace_mosaic(labels, numbers[chosen], starts[chosen], sizes[chosen], np.array(origin))


def _trace_mosaic(
    labels: NDArray[np.integer],
    numbers: NDArray[np.int64],
    starts: NDArray[np.int64],
    sizes: NDArray[np.int64],
    origin: NDArray[np.int64],
) -> Outlines:
    """Trace objects side by side in one picture: most of the time of thousands of small calls is not tracing."""
    from contourpy import FillType, contour_generator

    places, shape = _shelves(sizes)
    mosaic = np.zeros(shape, np.int64)
    low, high = starts.min(axis=0), (starts + sizes).max(axis=0)
    part = labels[low[0] : high[0], low[1] : high[1]]
    position = np.full(int(labels.max()) + 1, -1, np.int64)
    position[numbers] = np.arange(numbers.size)
    rows, columns = np.nonzero(part)
    which = position[part[rows, columns]]
    rows, columns, which = rows[which >= 0], columns[which >= 0], which[which >= 0]
    shift = places + _MARGIN // 2 - (starts - low)
    mosaic[rows + shift[which, 0], columns + shift[which, 1]] = which + 1
    generator = contour_generator(z=mosaic > 0, name="serial", fill_type=FillType.ChunkCombinedOffsetOffset)
    filled: Any = generator.filled(0.5, 1.5)
    points, offsets, outer = filled[0][0], filled[1][0].astype(np.int64), filled[2][0].astype(np.int64)
    # The first vertex of an outside lies between a pixel of the object and one of none.
    first = points[offsets[outer[:-1]]]
    x, y = first.T
    own = np.maximum(
        mosaic[np.floor(y).astype(int), np.floor(x).astype(int)], mosaic[np.ceil(y).astype(int), np.ceil(x).astype(int)]
    )
    order = np.argsort(own, kind="stable")
    found = _reordered(order, own[order] - 1, points, offsets, outer)
    back = (origin + low + 0.5 - shift)[:, ::-1]
    per_ring = np.repeat(found.labels, np.diff(found.rings))
    vertices = found.vertices + back[np.repeat(per_ring, np.diff(found.points))]
    return _without_collinear(Outlines(numbers[found.labels], found.rings, found.points, vertices))


def _shelves(sizes: NDArray[np.int64]) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """Places (row, column) for rectangles (height, width), none over another, and the shape that holds them."""
    order = np.argsort(-sizes[:, 0], kind="stable")  # of like heights side by side
    width = max(int(np.sqrt(sizes.prod(axis=1).sum())), int(sizes[:, 1].max()))
    places = np.zeros_like(sizes)
    row = column = height = 0
    for i in order.tolist():
        if column + sizes[i, 1] > width:
            row, column, height = row + height, 0, 0
        places[i] = row, column
        column += int(sizes[i, 1])
        height = max(height, int(sizes[i, 0]))
    return places, (row + height, width)


def _reordered(
    order: NDArray[np.intp],
    labels: NDArray[np.int64],
    points: NDArray[np.float64],
    offsets: NDArray[np.int64],
    outer: NDArray[np.int64],
) -> Outlines:
    """Polygons in this order."""
    rings = _ranges(outer[:-1][order], outer[1:][order])
    vertices = _ranges(offsets[:-1][rings], offsets[1:][rings])
    return Outlines(
        labels, _ends(np.diff(outer)[order]), _ends(np.diff(offsets)[rings]), points[vertices].astype(np.float64)
    )


def _without_collinear(given: Outlines) -> Outlines:
    """Leave out vertices on a straight line between their neighbours; multiples of 1/2 make the test exact."""
    counts = np.diff(given.points)
    first, last = given.points[:-1], given.points[1:] - 1
    before, after = np.arange(len(given.vertices)) - 1, np.arange(len(given.vertices)) + 1
    before[first], after[last] = last - 1, first + 1  # the last vertex of a ring is its first again
    inward, outward = given.vertices - given.vertices[before], given.vertices[after % len(after)] - given.vertices
    bent = inward[:, 0] * outward[:, 1] != inward[:, 1] * outward[:, 0]
    bent[last] = False
    ring_of = np.repeat(np.arange(counts.size), counts)
    kept = np.bincount(ring_of[bent], minlength=counts.size)
    ends = _ends(kept + 1)
    vertices = np.empty((int(ends[-1]), 2))
    places = np.ones(len(vertices), bool)
    places[ends[1:] - 1] = False
    vertices[places] = given.vertices[bent]
    vertices[ends[1:] - 1] = vertices[ends[:-1]]
    return Outlines(given.labels, given.rings, ends, vertices)


def _ends(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts)])


def _ranges(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.int64]:
    """range(start, stop) of each pair, one after another."""
    counts = stops - starts
    return np.repeat(starts - _ends(counts)[:-1], counts) + np.arange(counts.sum())
