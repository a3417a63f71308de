"""Predicting in strips: rows of an image's result that are finished, one row of windows after the other.

Windows are run and added in the order of the plan, row by row, so that each pixel's sum is that of the whole image to
the last bit; what no later window reaches is passed on and forgotten. Memory is that of a row of windows across the
image. A run may begin at any row of windows: the rows above that reach into it are run for their lower ends alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.inference.blend import Blend
from segdiff.inference.chains import ChainStatistics
from segdiff.inference.prediction import Prediction
from segdiff.inference.rescale import Grids
from segdiff.inference.run import Progress
from segdiff.inference.windows import Window

COLUMNS = 1024  # pixels across, in which sums are held where there are any
Run = Callable[[Sequence[Window], Progress], Iterator[tuple[Window, ChainStatistics]]]
# Of a tile: the mean over chains, and their variance where there are several; (..., h, w).
Tiles = dict[int, tuple[NDArray[np.float32], NDArray[np.float32] | None]]
Weights = Callable[[int, int], NDArray[np.float32]]


def every_window(place: Window) -> bool:
    """Want them all."""
    return True


@dataclass(frozen=True)
class Choice:
    """Which part of an image is predicted.

    Attributes:
        wanted: whether a window is run, by the pixels of the image that it covers. Others are background.
        first, last: rows of windows, the last one included; None: the last of all.
        aside: bool over a lattice of the image: what its statistics leave out, such as the glass of a slide.
    """

    wanted: Callable[[Window], bool] = every_window
    first: int = 0
    last: int | None = None
    aside: NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class Strip:
    """Rows of an image's result.

    Attributes:
        row: number of the row of windows that finished them.
        window: the rows, as wide as the image.
        predictions: of tiles of them, by their left columns; what is not in any is background.
    """

    row: int
    window: Window
    predictions: dict[int, Prediction]


def window_rows(plan: Sequence[Window]) -> list[list[Window]]:
    """Divide a plan into its rows of windows."""
    return [list(row) for _, row in groupby(plan, key=lambda window: window.top)]


class RowBlend:
    """Sums of windows that are not finished yet, in tiles of `COLUMNS` pixels across.

    Args:
        width: of the image.
        channels: M of the masks.
        weights: of a window's pixels.
    """

    def __init__(self, width: int, channels: int, weights: Weights) -> None:
        self.width, self.channels, self.weights = width, channels, weights
        self._top = 0
        self._tiles: dict[int, Blend] = {}

    def rows(
        self, plan: Sequence[Window], grids: Grids, choice: Choice, run: Run, progress: Progress | None
    ) -> Iterator[tuple[int, Window, Tiles]]:
        """Run the rows of windows of a choice; give of each the rows of the image that it finishes."""
        rows = window_rows(plan)
        tops = [grids.place(row[0]).top for row in rows] + [grids.image[0]]
        last = len(rows) - 1 if choice.last is None else choice.last
        begin = choice.first
        while begin > 0 and grids.place(rows[begin - 1][0]).rows.stop > tops[choice.first]:
            begin -= 1
        wanted = [[window for window in row if choice.wanted(grids.place(window))] for row in rows[begin : last + 1]]
        total, before = sum(map(len, wanted)), 0
        self._top = tops[begin]
        for number, windows in enumerate(wanted, start=begin):

            def report(done: int, of_row: int, before: int = before, count: int = len(windows)) -> None:
                if progress is not None:  # in chains times windows, as many of each window
                    chains = of_row // count
                    progress(before * chains + done, total * chains)

            for window, statistics in run(windows, report) if windows else ():
                self._add(grids, window, statistics)
            before += len(windows)
            top, tiles = self._top, self._take(tops[number + 1])
            if number >= choice.first:
                yield number, Window(top, 0, tops[number + 1] - top, self.width), tiles

    def _add(self, grids: Grids, window: Window, statistics: ChainStatistics) -> None:
        """Add a window at its place, tile by tile."""
        place = grids.place(window)
        if not place.height or not place.width:  # smaller than a pixel of the image
            return
        weights = grids.to_image(self.weights(window.height, window.width), window)
        values: list[NDArray[Any]] = [statistics.mean]
        if statistics.count > 1:
            values.append(statistics.variance)
        for left in range(place.left // COLUMNS * COLUMNS, place.columns.stop, COLUMNS):
            from_column, to_column = max(left, place.left), min(left + COLUMNS, place.columns.stop)
            part = slice(from_column - place.left, to_column - place.left)
            blend = self._tile(left, place.rows.stop - self._top, len(values))
            there = Window(place.top - self._top, from_column - left, place.height, to_column - from_column)
            blend.add(there, [value[..., part] for value in values], weights[:, part])

    def _tile(self, left: int, height: int, layers: int) -> Blend:
        """The sums of a tile, of so many rows or more."""
        blend = self._tiles.get(left)
        have = 0 if blend is None else blend.weight.shape[0]
        if blend is None or have < height:
            size = (height, min(COLUMNS, self.width - left))
            shape = size if self.channels == 1 else (self.channels, *size)
            grown = Blend([np.zeros(shape, np.float32) for _ in range(layers)], np.zeros(size, np.float32))
            if blend is not None:
                for old, new in zip((*blend.layers, blend.weight), (*grown.layers, grown.weight), strict=True):
                    new[..., :have, :] = old
            self._tiles[left] = blend = grown
        return blend

    def _take(self, until: int) -> Tiles:
        """The rows above `until`, finished, without those that no window covers; they are forgotten."""
        count, found = until - self._top, {}
        self._top = until
        for left, blend in list(self._tiles.items()):
            weight = blend.weight[:count]
            if weight.any() and count:
                finished = [_mean(layer[..., :count, :], weight, count) for layer in blend.layers]
                found[left] = (finished[0], finished[1] if len(finished) > 1 else None)
            if len(blend.weight) > count:
                rest = [layer[..., count:, :].copy() for layer in (*blend.layers, blend.weight)]
                self._tiles[left] = Blend(rest[:-1], rest[-1])
            else:
                del self._tiles[left]
        return found


def _mean(total: NDArray[np.float32], weight: NDArray[np.float32], rows: int) -> NDArray[np.float32]:
    """Sums (..., h, w) divided by their weights (h, w): (..., rows, w), 0 where no window reaches."""
    mean = np.zeros((*total.shape[:-2], rows, total.shape[-1]), np.float32)
    np.divide(total, weight, out=mean[..., : weight.shape[0], :], where=weight > 0)
    return mean
