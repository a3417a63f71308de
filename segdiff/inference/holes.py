"""Holes of objects in a label map, filled for all of them at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fill_holes(labels: NDArray[np.int32]) -> None:
    """Give what is 0 within an object to that object, in place; other objects within it stay.

    labels: (H, W); 1, 2, ... in the order in which rows meet the objects, each connected by sides. A hole is what no
    way by sides leads out of. What lies within several objects, one in the other, falls to the innermost.
    """
    from scipy import ndimage

    gaps, count = ndimage.label(labels == 0)
    closed = np.ones(count + 1, bool)
    closed[0] = False
    for border in (gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1]):
        closed[border] = False  # ways lead out of the picture
    if not closed.any():
        return
    at = np.flatnonzero(closed[gaps])
    gap = gaps.take(at)
    lowest, highest = np.full(count + 1, labels.max() + 1), np.zeros(count + 1, np.int64)
    for step in (-1, 1, -labels.shape[1], labels.shape[1]):
        beside = labels.take(at + step)
        some = beside > 0
        np.minimum.at(lowest, gap[some], beside[some])
        np.maximum.at(highest, gap[some], beside[some])
    # A gap beside a single object is a hole of it. One between several may be a hole of one of them, or of another.
    owner = np.where(lowest == highest, lowest, 0)
    between = (closed & (lowest < highest))[gap]
    if between.any():
        _innermost(labels, at[between], gap[between], owner)
    np.put(labels, at, owner[gap])


def _innermost(
    labels: NDArray[np.int32], at: NDArray[np.integer], gap: NDArray[np.integer], owner: NDArray[np.integer]
) -> None:
    """Write of each gap the number of the innermost object that it is a hole of; 0 where it is none's.

    at, gap: all pixels of these gaps, row by row, and which gap each belongs to.
    """
    from scipy import ndimage

    boxes = ndimage.find_objects(labels)
    top, bottom, left, right = np.array(
        [(box[0].start, box[0].stop - 1, box[1].start, box[1].stop - 1) for box in boxes]
    ).T
    highest = int((bottom - top).max())
    filled: dict[int, NDArray[np.bool_]] = {}

    def holds(number: int, row: int, column: int) -> bool:
        box = boxes[number - 1]
        row, column = row - box[0].start, column - box[1].start
        own = labels[box] == number
        across, down = own[row], own[:, column]
        if not (across[:column].any() and across[column:].any() and down[:row].any() and down[row:].any()):
            return False  # a way that is straight leads out
        if number not in filled:
            filled[number] = ndimage.binary_fill_holes(own)
        return bool(filled[number][row, column])

    rows, columns = np.divmod(at, labels.shape[1])
    for one, first in zip(*np.unique(gap, return_index=True), strict=True):
        row, column = int(rows[first]), int(columns[first])
        # Objects are in the order of their tops: those that can reach around this pixel are neighbours in it.
        some = slice(*np.searchsorted(top, (row - highest, row)))
        around = (bottom[some] > row) & (left[some] < column) & (right[some] > column)
        inner_first = np.flatnonzero(around)[::-1] + some.start + 1  # the inner ones begin later
        owner[one] = next((int(number) for number in inner_first if holds(int(number), row, column)), 0)
