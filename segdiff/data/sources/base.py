"""What every image source can do."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segdiff.data.resampling import Axis, resample
from segdiff.data.sources.pixel_size import UNKNOWN, PixelSize
from segdiff.data.windows import Window, tiles
from segdiff.errors import DataError, ShapeError

THUMBNAIL = 1024  # pixels of the longer side
_MOST_AT_ONCE = 2048**2  # pixels of a level read in one go for a thumbnail


class Level(NamedTuple):
    """A resolution of an image: its size, and how many pixels of the full image one of its pixels covers."""

    height: int
    width: int
    row_step: float = 1.0
    column_step: float = 1.0

    @classmethod
    def of(cls, size: tuple[int, int], full: tuple[int, int]) -> Level:
        """Find the steps of a level of `size` pixels of an image of `full` pixels.

        Writers round sizes down or up: 62 of 250 pixels is a step of 4, whose last two pixels have gone, not of 4.03.
        Of several whole steps that fit, which small levels have, it is the one with more factors of two.
        """
        rows, columns = (_whole_steps(have, whole) for have, whole in zip(size, full, strict=True))
        if common := rows & columns:
            step = float(max(common, key=lambda k: (k & -k, -k)))
            return cls(*size, step, step)
        return cls(*size, full[0] / size[0], full[1] / size[1])


def _whole_steps(have: int, whole: int) -> set[int]:
    """The whole numbers that make `have` pixels of `whole` ones, rounded down or up."""
    around = range(max(1, whole // (have + 1)), -(-whole // max(have - 1, 1)) + 1)
    return {step for step in around if have in (whole // step, -(-whole // step))}


class ImageSource(ABC):
    """An image that is read window by window, and slices as an array does.

    Attributes:
        shape: (H, W) or (H, W, C) at full resolution.
        dtype: of its values.
        levels: the resolutions that are stored, the first one the full image, then ever smaller ones.
        mpp: micrometres per pixel of the full image, and where they come from.
        tile: (height, width) in which it is stored; windows along this grid are read fastest.
        is_slide: whether it is stored as whole slides are, in a pyramid or a scanner's format.
        name: for messages.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    levels: tuple[Level, ...]
    mpp: PixelSize = UNKNOWN
    tile: tuple[int, int] = (256, 256)
    is_slide: bool = False
    name: str = "image"

    @property
    def height(self) -> int:
        """Return the rows at full resolution."""
        return self.shape[0]

    @property
    def width(self) -> int:
        """Return the columns at full resolution."""
        return self.shape[1]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @abstractmethod
    def _read(self, window: Window, level: int) -> NDArray[Any]:
        """Read a window that lies within a level and has pixels: (height, width[, C])."""

    def read(self, window: Window, level: int = 0) -> NDArray[Any]:
        """Read a window of a level: (height, width) or (height, width, C) of the image's own type.

        Raises:
            ShapeError: there is no such level, or the window is empty or reaches beyond it.
            DataError: the file is damaged there.
        """
        if not 0 <= level < len(self.levels):
            raise ShapeError(f"{self.name} has no level {level}: its levels are 0 to {len(self.levels) - 1}")
        size = self.levels[level]
        if window.clipped(size.height, size.width) != window or window.height < 1 or window.width < 1:
            raise ShapeError(f"{window} does not lie within level {level} of {self.name}, {size.height} x {size.width}")
        return self._read(window, level)

    def resized(self, height: int, width: int) -> ImageSource:
        """Return the image on a grid of that size, read from the level that suffices (see `Resized`)."""
        return Resized(self, height, width)

    def at(self, step: float) -> ImageSource:
        """Return the image on a grid whose pixels cover `step` pixels of the full image."""
        return self.resized(max(1, round(self.height / step)), max(1, round(self.width / step)))

    def thumbnail(self, longest: int = THUMBNAIL) -> NDArray[Any]:
        """Return the whole image with at most `longest` pixels a side, of its own type; small images are not grown.

        Memory stays bounded, whatever the image's size.
        """
        step = max(1.0, max(self.height, self.width) / longest)
        small = self.at(step)
        if small.shape == self.shape:
            return self._read(Window(0, 0, self.height, self.width), 0)
        found = np.empty(small.shape, self.dtype)
        coarse = self.levels[self.level_for(step)]
        side = max(16, int(math.sqrt(_MOST_AT_ONCE) * coarse.row_step / step))
        for window in tiles(small.height, small.width, side):
            values = small.read(window)
            found[window.rows, window.columns] = np.rint(values) if self.dtype.kind in "biu" else values
        return found

    def level(self, number: int) -> ImageSource:
        """Return a level as an image of its own."""
        return OneLevel(self, number)

    def level_for(self, step: float) -> int:
        """Return the coarsest level whose pixels cover no more than `step` pixels of the full image."""
        fine = [n for n, level in enumerate(self.levels) if max(level.row_step, level.column_step) <= step * 1.001]
        return fine[-1] if fine else 0

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Slice the full image as an array: rows, columns and channels, with strides above 0.

        A stride that skips much reads only the tiles that hold a pixel of the result.
        """
        rows, columns, channels = self._indices(key)
        if not len(rows) or not len(columns):
            return np.empty((len(rows), len(columns), *self.shape[2:]), self.dtype)[channels]
        if rows.step == columns.step == 1:
            return self._read(Window(rows.start, columns.start, len(rows), len(columns)), 0)[channels]
        found = np.empty((len(rows), len(columns), *self.shape[2:]), self.dtype)
        for row_part, row_span in _by_tile(rows, self.tile[0]):
            for column_part, column_span in _by_tile(columns, self.tile[1]):
                window = Window(row_span.start, column_span.start, len(row_span), len(column_span))
                found[row_part, column_part] = self._read(window, 0)[:: rows.step, :: columns.step]
        return found[channels]

    def _indices(self, key: Any) -> tuple[range, range, tuple[Any, ...]]:
        keys = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in keys:
            at = keys.index(Ellipsis)
            keys[at : at + 1] = [slice(None)] * (self.ndim - len(keys) + 1)
        keys += [slice(None)] * (2 - len(keys))
        if len(keys) > self.ndim or not all(isinstance(one, slice) for one in keys[:2]):
            raise ShapeError(f"{self.name} is read by slices of rows and columns, not by {key!r}")
        rows, columns = (range(length)[one] for one, length in zip(keys[:2], self.shape[:2], strict=True))
        if rows.step < 1 or columns.step < 1:
            raise ShapeError(f"{self.name} is read by slices whose stride is above 0, not by {key!r}")
        return rows, columns, (slice(None), slice(None), *keys[2:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read the whole image: what numpy.asarray calls."""
        whole = self._read(Window(0, 0, self.height, self.width), 0)
        return whole if dtype is None else whole.astype(dtype)


def _by_tile(positions: range, tile: int) -> list[tuple[slice, range]]:
    """Group positions by the tile that they lie in: places in the result, and the span of pixels to be read."""
    if positions.step >= tile:
        return [(slice(n, n + 1), range(p, p + 1)) for n, p in enumerate(positions)]
    numbers = np.asarray(positions) // tile
    starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(positions)]
    return [(slice(a, b), range(positions[a], positions[b - 1] + 1)) for a, b in zip(starts, starts[1:], strict=False)]


class OneLevel(ImageSource):
    """A level of an image as an image of its own."""

    def __init__(self, source: ImageSource, number: int) -> None:
        level = source.levels[number]
        self.source, self.number = source, number
        self.shape, self.dtype = (level.height, level.width, *source.shape[2:]), source.dtype
        self.levels = (Level(level.height, level.width),)
        self.name, self.is_slide, self.tile = source.name, source.is_slide, source.tile
        if source.mpp.x is not None and source.mpp.y is not None:
            self.mpp = PixelSize(source.mpp.x * level.column_step, source.mpp.y * level.row_step, source.mpp.origin)

    def _read(self, window: Window, level: int) -> NDArray[Any]:
        return self.source.read(window, self.number)


class OneChannel(ImageSource):
    """A channel of an image, counted from 0, as a grey image."""

    def __init__(self, source: ImageSource, channel: int) -> None:
        channels = source.shape[2] if source.ndim == 3 else 1
        if channel >= channels:
            raise DataError(f"{source.name} has {channels} channels: there is no channel {channel + 1}")
        self.source, self.channel = source, channel
        self.shape, self.dtype, self.levels = source.shape[:2], source.dtype, source.levels
        self.name, self.is_slide, self.tile, self.mpp = source.name, source.is_slide, source.tile, source.mpp

    def _read(self, window: Window, level: int) -> NDArray[Any]:
        part = self.source.read(window, level)
        return part if part.ndim == 2 else part[..., self.channel]


class Resized(ImageSource):
    """An image on another grid, float32: pixels are averaged where it shrinks, interpolated where it grows.

    It is read from the coarsest level that is at least as fine as the new grid (`segdiff.data.resampling`); with a
    single level it is the whole image resized, whatever windows it is read in.

    Args:
        source: the image.
        height, width: of the new grid.
    """

    def __init__(self, source: ImageSource, height: int, width: int) -> None:
        self.source = source
        self.shape = (height, width, *source.shape[2:])
        self.dtype = np.dtype(np.float32)
        self.levels = (Level(height, width),)
        self.name, self.is_slide, self.tile = source.name, source.is_slide, source.tile
        row_step, column_step = source.height / height, source.width / width
        if source.mpp.x is not None and source.mpp.y is not None:
            self.mpp = PixelSize(source.mpp.x * column_step, source.mpp.y * row_step, source.mpp.origin)
        self._level = source.level_for(min(row_step, column_step))
        level = source.levels[self._level]
        self._rows = Axis(level.height, row_step / level.row_step)
        self._columns = Axis(level.width, column_step / level.column_step)

    def _read(self, window: Window, level: int) -> NDArray[np.float32]:
        rows = self._rows.span(window.top, window.height)
        columns = self._columns.span(window.left, window.width)
        size = (rows.stop - rows.start, columns.stop - columns.start)
        part = self.source.read(Window(rows.start, columns.start, *size), self._level)
        return resample(
            part, self._rows.weights(window.top, window.height), self._columns.weights(window.left, window.width)
        )
