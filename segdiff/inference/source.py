"""Reading windows of a picture that need not fit memory."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segdiff.data.images import to_rgb
from segdiff.data.nodata import DataOnly, NoData, fill_no_data, find_no_data
from segdiff.data.resampling import Axis, resample
from segdiff.data.sources.base import ImageSource, Level
from segdiff.data.value_range import value_scale
from segdiff.errors import ShapeError, UserError
from segdiff.inference.batching import is_out_of_memory
from segdiff.inference.rescale import Grids
from segdiff.inference.windows import Window

STRIP = 1024  # rows
GROUND = 64  # positions along a side for a typical value


class Source:
    """A picture whose windows are read when they are needed.

    Args:
        array: (H, W) or (H, W, C) as it was read; anything with `shape`, `dtype` and slices.
        channels: what the model sees. 3: any picture becomes RGB on the 0..255 scale by
            `segdiff.data.images.to_rgb`; another number: the array must have that many channels and its
            values are taken as they are.
        factor: that brings the values to that scale; None: found from type and values of the whole array.
        no_data: "find", or what was found in a picture that this one was made of, where it is filled already.
        aside: bool over a lattice of the picture: what statistics leave out, beside what holds no data.
    Raises:
        ShapeError: not a picture, or not of these channels.
        DataError: values that the rule for RGB does not cover.
    """

    def __init__(
        self,
        array: Any,
        channels: int = 3,
        factor: float | None = None,
        no_data: NoData | Literal["find"] | None = "find",
        aside: NDArray[np.bool_] | None = None,
    ) -> None:
        _check_kind(array)
        shape = tuple(int(n) for n in array.shape)
        if len(shape) not in (2, 3) or 0 in shape:
            raise ShapeError(f"an image has shape (H, W) or (H, W, C); this array has {shape}")
        given = shape[2] if len(shape) == 3 else 1
        if channels != 3 and given != channels:
            raise ShapeError(f"this model sees {channels} channels; an array of shape {shape} has {given}")
        self.array, self.channels, self._is_filled, self.aside = array, channels, no_data != "find", aside
        self.height, self.width = shape[:2]
        # Of the whole array: a dark window of floats in 0..255 looks like one in 0..1.
        self._factor = factor if factor is not None else value_scale(array) if channels == 3 else 1.0
        if no_data == "find":
            self.no_data = find_no_data(array, self.convert) if channels == 3 else None
        else:
            self.no_data = no_data

    def convert(self, part: Any) -> NDArray[Any]:
        """A slice of the array as (h, w, channels) on the 0..255 scale."""
        part = np.asarray(part)
        if self.channels == 3:
            return to_rgb(part, self._factor)
        return part.reshape(*part.shape[:2], self.channels)

    def read(self, window: Window) -> NDArray[Any]:
        """(height, width, channels) of a window, on the 0..255 scale; filled where there is no data."""
        stored = np.asarray(self.array[window.rows, window.columns])
        part = self.convert(stored)
        if self.no_data is None or self._is_filled:
            return part
        empty = self.no_data.within(stored, window.rows, window.columns, self.convert)
        return fill_no_data(part, empty, self._ground) if empty.any() else part

    @cached_property
    def _ground(self) -> NDArray[Any]:
        """(channels,): the median of the data."""
        rows, columns = (slice(None, None, -(-length // GROUND)) for length in (self.height, self.width))
        lattice = self.convert(self.statistics[rows, columns])
        return np.median(lattice.reshape(-1, self.channels), axis=0)

    @property
    def statistics(self) -> DataOnly:
        """The picture for statistics, which leave out what holds no data and what is set aside."""
        return DataOnly(self.array, self.no_data, self.aside)

    def blank(self, *layers: Any) -> None:
        """Set (..., H, W) layers to 0, in place, where the picture holds no data; None is passed over."""
        if self.no_data is None:
            return
        for top in range(0, self.height, STRIP):
            rows = slice(top, min(top + STRIP, self.height))
            self.blank_part(
                Window(top, 0, rows.stop - top, self.width),
                *(None if layer is None else layer[..., rows, :] for layer in layers),
            )

    def blank_part(self, window: Window, *parts: Any) -> None:
        """The same for parts of layers, (..., h, w) of a window."""
        if self.no_data is None:
            return
        stored = np.asarray(self.array[window.rows, window.columns])
        empty = self.no_data.within(stored, window.rows, window.columns, self.convert)
        for part in parts if empty.any() else ():
            if part is not None:
                part[...] = np.where(empty, 0, part)

    def resized(self, grids: Grids) -> Source:
        """Return the picture on the model's grid: read window by window, from the level that suffices where it has
        several; on a fixed grid in memory as a whole.

        Raises:
            UserError: it does not fit the memory.
        """
        if not grids.fixed:
            return self._regridded(grids)
        try:
            resized = grids.to_model(self.read(Window(0, 0, self.height, self.width)))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            size = " x ".join(map(str, grids.model))
            raise UserError(f"resized to {size} for the model, the picture does not fit the memory") from error
        return Source(resized, self.channels, 1.0, self.no_data)

    def _regridded(self, grids: Grids) -> Source:
        steps = (self.height / grids.model[0], self.width / grids.model[1])
        base = self
        if isinstance(self.array, ImageSource) and (number := self.array.level_for(min(steps))):
            level = self.array.levels[number]
            base = Source(self.array.level(number), self.channels, self._factor, aside=self.aside)
            steps = (steps[0] / level.row_step, steps[1] / level.column_step)
        return Source(Regridded(base, grids.model, steps), self.channels, 1.0, base.no_data, self.aside)


def _check_kind(array: Any) -> None:
    """ShapeError for what is no array, or one with its channels first, with what makes it one."""
    kind = type(array).__name__
    if not hasattr(array, "shape"):
        remedy = (
            "segdiff.read_image reads a file"
            if isinstance(array, str | Path)
            else f"numpy.asarray({kind.lower()}) may make one"
        )
        raise ShapeError(f"an image is an array of shape (H, W) or (H, W, C), not {kind}: {remedy}")
    try:
        np.dtype(array.dtype)
    except (AttributeError, TypeError):
        raise ShapeError(
            f"an image is an array with one of numpy's types, not {kind} of {getattr(array, 'dtype', 'no type')}: of a "
            "tensor give tensor.cpu().numpy(), channels last"
        ) from None
    shape = tuple(array.shape)
    if len(shape) == 3 and shape[0] in (1, 2, 3, 4) and shape[2] > 4 and shape[1] > 4:
        raise ShapeError(
            f"an image has shape (H, W) or (H, W, C); this array has {shape}, its channels first: give "
            "numpy.moveaxis(array, 0, -1)"
        )


class Regridded(ImageSource):
    """A picture on another grid, (height, width, channels) on the 0..255 scale, float32 (`segdiff.data.resampling`).

    Args:
        source: the picture, or a level of it.
        size: (height, width) of the new grid.
        steps: pixels of the source in a row and in a column of one pixel of it.
    """

    def __init__(self, source: Source, size: tuple[int, int], steps: tuple[float, float]) -> None:
        self.source = source
        self.shape, self.dtype = (*size, source.channels), np.dtype(np.float32)
        self.levels = (Level(*size),)
        self._axes = (Axis(source.height, steps[0]), Axis(source.width, steps[1]))

    def _read(self, window: Window, level: int) -> NDArray[np.float32]:
        rows, columns = self._axes[0].span(*window[::2]), self._axes[1].span(*window[1::2])
        part = self.source.read(Window(rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start))
        return resample(part, self._axes[0].weights(*window[::2]), self._axes[1].weights(*window[1::2]))
