"""Watershed of many small parts of a large picture, each as if it were alone.

A watershed takes pixels from a queue in the order of their heights. One queue for a picture of thousands of parts is
slow, and where heights tie, what happens in one part depends on all others. Here parts are stacked on small canvases,
and ties are broken, so that a part is divided in the same way wherever it lies and whatever else there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

CANVAS = 2**15  # pixels that are flooded together, unless a part is larger: their queue fits a cache
Box = tuple[slice, slice]
Place = tuple[Box, int, Box]  # of a part in the picture, its number, its place on the canvas


def flood(
    labels: NDArray[np.int32],
    height: NDArray[np.floating],
    seeds: NDArray[np.int32],
    parts: NDArray[np.int32],
    boxes: Mapping[int, Box],
) -> None:
    """Divide parts of a picture among the seeds that lie in them: watershed (scikit-image) from the highest down.

    Where pixels of two seeds are equally high, the one that comes first, row by row, is taken first.

    Args:
        labels: (H, W); written, at the pixels of the chosen parts alone: the number of the seed that each falls to.
        height: float32 or float64 (H, W), 0 or more.
        seeds: (H, W), 0 where there is none; each chosen part has one or more.
        parts: (H, W), each connected by sides, 0 outside.
        boxes: of the chosen parts, by their numbers.
    """
    from skimage.segmentation import watershed

    for places, size in _canvases(boxes):
        inside, marks, level = np.zeros(size, bool), np.zeros(size, np.int32), np.zeros(size, height.dtype)
        for box, part, there in places:
            own = np.equal(parts[box], part, out=inside[there])
            np.multiply(seeds[box], own, out=marks[there])
            level[there] = height[box]
        found = watershed(-_untied(level, marks), marks, mask=inside)
        for box, _, there in places:
            np.copyto(labels[box], found[there], where=inside[there])


def _canvases(boxes: Mapping[int, Box]) -> Iterator[tuple[list[Place], tuple[int, int]]]:
    """Parts one below the other with a row between them, those of about the same width together; and the size of
    each such canvas."""
    rest = sorted(((box, part) for part, box in boxes.items()), key=lambda one: _size(one[0])[1])
    while rest:
        places: list[Place] = []
        rows, width = 0, _size(rest[-1][0])[1]
        while rest and (not places or (rows + _size(rest[-1][0])[0]) * width <= CANVAS):
            box, part = rest.pop()
            high, wide = _size(box)
            places.append((box, part, (slice(rows, rows + high), slice(0, wide))))
            rows += high + 1
        yield places, (rows, width)


def _size(box: Box) -> tuple[int, int]:
    return box[0].stop - box[0].start, box[1].stop - box[1].start


def _untied(level: NDArray[Any], marks: NDArray[np.int32]) -> NDArray[np.float64]:
    """Heights in the same order, except that of equal pixels of seeds each is above the next, and above all others
    that equal them."""
    at = np.flatnonzero(marks)
    later = np.arange(at.size, 0, -1)
    if level.dtype == np.float32:  # between any two of these there are 2^29 numbers of float64
        level = level.astype(np.float64)
        level.view(np.int64).ravel()[at] += later
        return level
    level = np.unique(level, return_inverse=True)[1].reshape(level.shape).astype(np.float64)
    level.ravel()[at] += later / (at.size + 1)
    return level
