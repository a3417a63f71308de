"""Single objects of a mask of any size, read block by block: exactly those of `segdiff.inference.objects.separate`.

The unit is the connected component. Each is divided in its own rectangle, whichever blocks it lies in; what the whole
mask decides (how wide a typical component is, which objects are specks) is found for the whole mask; numbers go by
first pixel. So the result does not depend on the blocks. Memory is that of the largest component's rectangle, or of two
blocks a side.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.windows import Window
from segdiff.inference.components import Components, Unit, find_components, first_pixels, plan_units
from segdiff.inference.flooding import flood
from segdiff.inference.holes import fill_holes
from segdiff.inference.objects import CORE, SEVERAL, SMOOTH, only_seed, speck_limit
from segdiff.inference.seeds import distance_seeds

Store = MutableMapping[int, NDArray[Any]]
_KEPT = 2**26  # bytes of label maps that are kept unpacked while tiles are read


@dataclass(frozen=True)
class _Divided:
    """The components of a unit, divided.

    Attributes:
        parts: the components in the unit's window, numbered here.
        numbers: of each of them in the whole mask; -1 for what is cut off by the window.
        labels: int32, the objects of the unit's own components.
        seeds, height: what they were grown from.
        sure: numbers of the labels that have a core; None: of all, where there are no cores.
    """

    parts: NDArray[np.int32]
    numbers: NDArray[np.int64]
    labels: NDArray[np.int32]
    seeds: NDArray[np.int32]
    height: NDArray[np.floating]
    sure: NDArray[np.integer] | None


class BlockObjects:
    """The objects of a mask, ready to be read tile by tile.

    Args:
        mask: bool (H, W), anything with `shape` that slices.
        core: float32 (H, W) of the middles of objects, likewise; None: see `objects.separate`.
        side: of the blocks in pixels. The result does not depend on it.
        store: keeps label maps of units between the steps; a dictionary holds them in memory.
    """

    def __init__(self, mask: Any, core: Any = None, side: int = 1024, store: Store | None = None) -> None:
        self.mask, self.core = mask, core
        self.height, self.width = (int(n) for n in mask.shape)
        self._store: Store = {} if store is None else store
        self._opened: OrderedDict[int, NDArray[np.int32]] = OrderedDict()
        self.components = find_components(mask, side)
        self.units = plan_units(self.components, side)
        self._smooth = max(1.0, SMOOTH * typical_component(self.components)) if len(self.components) else 1.0
        self._boxes = np.array([_box(unit.window) for unit in self.units], np.int64).reshape(-1, 4)
        self._firsts: list[NDArray[np.int64]] = []
        self._areas: list[NDArray[np.int64]] = []
        self._numbers = self._separate()
        self.count = sum(map(len, self._numbers))

    @property
    def shape(self) -> tuple[int, int]:
        """Return height and width of the mask."""
        return self.height, self.width

    @property
    def areas(self) -> NDArray[np.int64]:
        """Pixels of each object, in the order of their numbers."""
        found = np.zeros(self.count, np.int64)
        for numbers, areas in zip(self._numbers, self._areas, strict=True):
            found[numbers - 1] = areas
        return found

    def read(self, window: Window) -> NDArray[np.int32]:
        """Return the label map of a window: 1, 2, ... in the order of first pixels in the whole mask, 0 background."""
        found = np.zeros((window.height, window.width), np.int32)
        top, left, bottom, right = self._boxes.T
        near = (top < window.rows.stop) & (left < window.columns.stop) & (bottom > window.top) & (right > window.left)
        for index in np.flatnonzero(near).tolist():
            unit = self.units[index].window
            common = _common(unit, window)
            numbers = np.concatenate([[0], self._numbers[index]]).astype(np.int32)
            own = numbers[self._labels(index)[_inside(common, unit)]]
            part = found[_inside(common, window)]
            # Holes are filled, also around other objects; of objects one within the other the inner one comes later.
            np.maximum(part, own, out=part)
        return found

    def by_unit(self) -> Iterator[tuple[NDArray[np.int32], Window, NDArray[np.int64], int]]:
        """Give the objects unit by unit, from the top down.

        Yields:
            A label map of its own, 1, 2, ..., where it lies, the numbers of these objects in the whole mask, and the
            number up to which all objects have been given with this unit.
        """
        order = sorted(range(len(self.units)), key=lambda index: self.units[index].window.top)
        first = np.full(self.count + 2, self.height * self.width, np.int64)  # the first pixel of each object
        for numbers, places in zip(self._numbers, self._firsts, strict=True):
            first[numbers] = places
        tops = [self.units[index].window.top for index in order] + [self.height]
        for index, next_top in zip(order, tops[1:], strict=True):
            complete = int(np.searchsorted(first[1:], next_top * self.width))
            yield self._labels(index), self.units[index].window, self._numbers[index], complete

    def __getitem__(self, key: tuple[slice, slice]) -> NDArray[np.int32]:
        rows, columns = (range(length)[one] for one, length in zip(key, self.shape, strict=True))
        return self.read(Window(rows.start, columns.start, len(rows), len(columns)))

    def _separate(self) -> list[NDArray[np.int64]]:
        """Divide all units, and return the numbers of the objects of each, in the order of its own label map."""
        areas, sure, largest = [], [], np.zeros(len(self.components), np.int64)
        for index, unit in enumerate(self.units):
            divided = self._divide(unit)
            area = np.bincount(divided.labels.ravel())
            area[0] = 0
            areas.append(area)
            sure.append(area if divided.sure is None else area[divided.sure])
            np.maximum.at(
                largest, divided.numbers[divided.parts[divided.labels > 0]], area[divided.labels[divided.labels > 0]]
            )
            self._store[index] = divided.labels
        if not areas:
            return []
        limit = speck_limit(np.concatenate(areas), np.concatenate(sure))
        self._firsts = firsts = [self._finish(index, limit, largest < limit) for index in range(len(self.units))]
        order = np.argsort(np.concatenate(firsts), kind="stable")
        numbers = np.empty(len(order), np.int64)
        numbers[order] = np.arange(1, len(order) + 1)
        return np.split(numbers, np.cumsum([len(first) for first in firsts])[:-1])

    def _parts(self, unit: Unit) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The components in a unit's window, and their numbers in the whole mask."""
        from scipy import ndimage

        parts, count = ndimage.label(np.asarray(self.mask[unit.window.rows, unit.window.columns]).astype(bool))
        return parts, self.components.find(first_pixels(parts, count, unit.window, self.width))

    def _divide(self, unit: Unit) -> _Divided:
        """Grow the objects of a unit's components from their seeds."""
        from scipy import ndimage

        parts, numbers = self._parts(unit)
        owned = np.isin(numbers, unit.owned)
        own = owned[parts]
        if self.core is None:
            height, seeds = distance_seeds(self.mask, unit.window, own, self._smooth)
        else:
            height = np.asarray(self.core[unit.window.rows, unit.window.columns])
            seeds = ndimage.label((height > CORE) & own)[0].astype(np.int32, copy=False)
        labels, sure = grow(height, seeds, parts, owned)
        return _Divided(parts, numbers, labels, seeds, height, sure if self.core is not None else None)

    def _finish(self, index: int, limit: float, dropped: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Leave out specks, fill holes, and return the first pixels of a unit's objects in their order.

        dropped: of each component of the mask, whether all its objects are specks.
        """
        unit, labels = self.units[index], self._store[index]
        parts, numbers = self._parts(unit)
        own = np.isin(numbers, unit.owned)[parts]
        areas = np.bincount(labels.ravel())
        specks = areas < limit
        specks[0] = False
        if specks.any():
            held, again = (np.zeros(len(numbers), bool) for _ in range(2))
            held[parts[~specks[labels] & (labels > 0)]] = True
            again[parts[specks[labels]]] = True
            labels = np.where(specks[labels], 0, labels)
            if (again & held).any():  # what specks held falls to the objects that they touched
                self._regrow(labels, unit.window, numbers[again & held], limit)
        alive = ~np.where(numbers >= 0, dropped[numbers], False)
        alive[0] = False
        return self._number(index, labels, np.where(own, 0, alive[parts] * parts))

    def _regrow(self, labels: NDArray[np.int32], window: Window, components: NDArray[np.int64], limit: float) -> None:
        """Divide components of a window's label map once more, in place, without the seeds of specks."""
        unit = Unit(self.components.window(components), components)
        divided = self._divide(unit)
        specks = np.bincount(divided.labels.ravel(), minlength=int(divided.seeds.max()) + 1) < limit
        seeds = np.where(specks[divided.seeds], 0, divided.seeds)
        owned = np.isin(divided.numbers, components)
        grown, _ = grow(divided.height, seeds, divided.parts, owned)
        place, own = labels[_inside(unit.window, window)], owned[divided.parts]
        place[own] = grown[own] + int(labels.max())

    def _number(self, index: int, labels: NDArray[np.int32], others: NDArray[np.int32]) -> NDArray[np.int64]:
        """Number a unit's objects by their first pixels, fill their holes, and keep the label map.

        others: components of other units that lie in the window, where they have objects; 0 elsewhere.
        Returns: the first pixel of each object, in their order.
        """
        count = int(labels.max())
        everything = np.where(others > 0, others + count, labels)
        first = first_pixels(everything, int(everything.max()), self.units[index].window, self.width)
        present = np.flatnonzero(first >= 0)
        order = present[np.argsort(first[present])]
        numbers = np.zeros(len(first), np.int32)
        numbers[order] = np.arange(1, len(order) + 1)
        filled = numbers[everything]
        fill_holes(filled)
        ours = np.flatnonzero(order <= count)
        renumbered = np.zeros(len(order) + 1, np.int32)
        renumbered[ours + 1] = np.arange(1, len(ours) + 1)
        self._store[index] = own = renumbered[filled]
        self._areas.append(np.bincount(own.ravel(), minlength=len(ours) + 1)[1:])
        return first[order[ours]]

    def _labels(self, index: int) -> NDArray[np.int32]:
        """The label map of a unit; those read last are kept."""
        labels = self._opened.pop(index, None)
        self._opened[index] = labels = self._store[index] if labels is None else labels
        while len(self._opened) > 1 and sum(one.nbytes for one in self._opened.values()) > _KEPT:
            self._opened.popitem(last=False)
        return labels


def grow(
    height: NDArray[np.floating], seeds: NDArray[np.int32], parts: NDArray[np.int32], owned: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.integer]]:
    """Divide components among the seeds that lie in them (`segdiff.inference.flooding`).

    Args:
        height: of each pixel; seeds grow from the highest one down.
        seeds: their numbers, 0 elsewhere.
        parts: numbers of components, 0 elsewhere.
        owned: by those numbers, which of them to divide.
    Returns:
        int32 labels: at each of these components' pixels the number of a seed, or one beyond those of all seeds for a
        component without any, which is an object all the same. And the numbers of the seeds in them.
    """
    from scipy import ndimage

    count, most = len(owned) - 1, int(seeds.max())
    home = np.zeros(most + 1, np.int32)
    home[seeds] = parts
    home[0] = 0
    only = only_seed(home, count)
    labels = np.where(only == 0, np.arange(most, most + count + 1), only).astype(np.int32)
    labels[~owned] = 0
    labels = labels[parts]
    several = np.flatnonzero((only == SEVERAL) & owned)
    boxes = ndimage.find_objects(parts) if several.size else []
    flood(labels, height, seeds, parts, {int(part): boxes[part - 1] for part in several})
    return labels, np.flatnonzero(owned[home] & (home > 0))


def typical_component(components: Components) -> float:
    """Return the diameter in pixels of the circle that has the median area of the components."""
    return float(2 * np.sqrt(np.median(components.area) / np.pi))


def _box(window: Window) -> tuple[int, int, int, int]:
    return window.top, window.left, window.rows.stop, window.columns.stop


def _common(one: Window, other: Window) -> Window:
    """What two windows share, which is something."""
    top, left = max(one.top, other.top), max(one.left, other.left)
    bottom, right = min(one.rows.stop, other.rows.stop), min(one.columns.stop, other.columns.stop)
    return Window(top, left, bottom - top, right - left)


def _inside(part: Window, whole: Window) -> tuple[slice, slice]:
    moved = Window(part.top - whole.top, part.left - whole.left, part.height, part.width)
    return moved.rows, moved.columns
