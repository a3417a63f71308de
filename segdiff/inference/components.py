"""The connected components of a mask that is read block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.windows import Window, tiles


@dataclass(frozen=True)
class Components:
    """Components connected by sides, in the order of their first pixels.

    Attributes:
        first: the raster index, row * width + column, of the first pixel of each.
        area: pixels.
        box: int64 (n, 4): top, left, bottom, right; the last two are behind the component.
        width: of the image.
    """

    first: NDArray[np.int64]
    area: NDArray[np.int64]
    box: NDArray[np.int64]
    width: int

    def __len__(self) -> int:
        return len(self.first)

    def find(self, first: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of the component with each of these first pixels; -1 where there is none."""
        at = np.searchsorted(self.first, first)
        known = at < len(self.first)
        known[known] = self.first[at[known]] == first[known]
        return np.where(known, at, -1)

    def window(self, numbers: NDArray[np.int64]) -> Window:
        """Return the smallest rectangle that holds these components."""
        top, left = self.box[numbers, :2].min(axis=0).tolist()
        bottom, right = self.box[numbers, 2:].max(axis=0).tolist()
        return Window(top, left, bottom - top, right - left)


@dataclass(frozen=True)
class Unit:
    """Components that are looked at together.

    Attributes:
        window: the smallest rectangle that holds them.
        owned: their numbers.
    """

    window: Window
    owned: NDArray[np.int64]


def find_components(mask: Any, side: int) -> Components:
    """Find the components of a mask, a block of `side` x `side` pixels at a time.

    Args:
        mask: bool (H, W), anything with `shape` that slices. Each block is read once.
        side: of the blocks. The result does not depend on it.
    """
    height, width = mask.shape
    fragments, links = _Fragments(width), _Links()
    for window in tiles(height, width, side):
        labels = fragments.add(np.asarray(mask[window.rows, window.columns]).astype(bool), window)
        links.add(labels, window)
    return fragments.joined(links.pairs())


def plan_units(components: Components, side: int) -> list[Unit]:
    """Divide components among blocks of `side` x `side` pixels, by the corner of their boxes.

    One that is larger than a block is a unit of its own, so that a unit is no larger than two blocks a side, unless a
    single component is.
    """
    top, left, bottom, right = components.box.T
    large = np.maximum(bottom - top, right - left) > side
    units = [Unit(components.window(np.array([n])), np.array([n])) for n in np.flatnonzero(large)]
    small = np.flatnonzero(~large)
    columns = -(-components.width // side)
    block = top[small] // side * columns + left[small] // side
    order = np.argsort(block, kind="stable")
    starts = np.flatnonzero(np.diff(block[order], prepend=-1))
    groups = np.split(small[order], starts[1:]) if small.size else []
    return [Unit(components.window(group), group) for group in groups] + units


def first_pixels(labels: NDArray[np.integer], count: int, window: Window, width: int) -> NDArray[np.int64]:
    """Return the raster index in an image of `width` columns of the first pixel of each label 0 .. count in a window.

    -1 where a label is absent, and for the background.
    """
    flat = labels.ravel()
    places = np.flatnonzero(flat)[::-1]
    first = np.full(count + 1, -1, np.int64)
    first[flat[places]] = places  # the last assignment stays: the first pixel
    rows, columns = np.divmod(first, window.width)
    return np.where(first < 0, -1, (rows + window.top) * width + columns + window.left)


class _Fragments:
    """The parts of components in each block, numbered through."""

    def __init__(self, width: int) -> None:
        self.width, self.count = width, 0
        self.first: list[NDArray[np.int64]] = []
        self.area: list[NDArray[np.int64]] = []
        self.box: list[NDArray[np.int64]] = []

    def add(self, mask: NDArray[np.bool_], window: Window) -> NDArray[np.int64] | None:
        """Number the parts of a block: int64 (height, width), 0 is background; None for an empty block."""
        from scipy import ndimage

        if not mask.any():
            return None
        labels, count = ndimage.label(mask)
        self.first.append(first_pixels(labels, count, window, self.width)[1:])
        self.area.append(np.bincount(labels.ravel(), minlength=count + 1)[1:])
        places = ndimage.find_objects(labels)
        box = [(rows.start, columns.start, rows.stop, columns.stop) for rows, columns in places]
        self.box.append(np.array(box, np.int64) + np.array([window.top, window.left] * 2))
        numbered = np.where(labels > 0, labels + np.int64(self.count), 0)
        self.count += count
        return numbered

    def joined(self, pairs: NDArray[np.int64]) -> Components:
        """Join fragments that touch across blocks; `pairs`: (n, 2) numbers from 1 on."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        if not self.count:
            return Components(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4), np.int64), self.width)
        graph = coo_array((np.ones(len(pairs), bool), tuple(pairs.T - 1)), shape=(self.count, self.count))
        count, of = connected_components(graph, directed=False)
        first = np.full(count, np.iinfo(np.int64).max)
        np.minimum.at(first, of, np.concatenate(self.first))
        area = np.zeros(count, np.int64)
        np.add.at(area, of, np.concatenate(self.area))
        boxes = np.concatenate(self.box)
        box = np.tile(np.array([np.iinfo(np.int64).max] * 2 + [0, 0]), (count, 1))
        np.minimum.at(box[:, :2], of, boxes[:, :2])
        np.maximum.at(box[:, 2:], of, boxes[:, 2:])
        order = np.argsort(first)
        return Components(first[order], area[order], box[order], self.width)


class _Links:
    """Which fragments touch across the borders of blocks that come row by row."""

    def __init__(self) -> None:
        self._found: list[NDArray[np.int64]] = []
        self._left: tuple[int, int, NDArray[np.int64]] | None = None  # top, column, labels of the last column
        self._above: dict[int, tuple[int, NDArray[np.int64]]] = {}  # by the block's column: row, labels of its last row

    def add(self, labels: NDArray[np.int64] | None, window: Window) -> None:
        above = self._above.pop(window.left, None)
        if labels is not None:
            if above is not None and above[0] == window.top:
                self._touch(above[1], labels[0])
            if self._left is not None and self._left[:2] == (window.top, window.left):
                self._touch(self._left[2], labels[:, 0])
            self._above[window.left] = (window.rows.stop, labels[-1].copy())
        self._left = None if labels is None else (window.top, window.columns.stop, labels[:, -1].copy())

    def _touch(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> None:
        both = (one > 0) & (other > 0)
        if both.any():
            self._found.append(np.unique(np.stack([one[both], other[both]], axis=1), axis=0))

    def pairs(self) -> NDArray[np.int64]:
        return np.concatenate(self._found) if self._found else np.zeros((0, 2), np.int64)
