"""Arrays as image sources: numpy, memory maps, whatever has a shape and slices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.sources.base import ImageSource, Level
from segdiff.data.sources.pixel_size import UNKNOWN, PixelSize
from segdiff.data.windows import Window
from segdiff.errors import ShapeError


class ArraySource(ImageSource):
    """An array (H, W) or (H, W, C); anything with `shape`, `dtype` and slices, read when a window is asked for.

    Args:
        array: the image.
        mpp: the size of its pixels, where it is known.
        name: for messages.
    Raises:
        ShapeError: not an image.
    """

    def __init__(self, array: Any, mpp: PixelSize = UNKNOWN, name: str = "image") -> None:
        shape = tuple(int(n) for n in getattr(array, "shape", ()))
        if len(shape) not in (2, 3) or 0 in shape:
            raise ShapeError(f"an image has shape (H, W) or (H, W, C); this array has {shape}")
        self.array, self.shape, self.dtype = array, shape, np.dtype(array.dtype)
        self.levels, self.mpp, self.name = (Level(*shape[:2]),), mpp, name

    def _read(self, window: Window, level: int) -> NDArray[Any]:
        return np.asarray(self.array[window.rows, window.columns])

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Slice the array itself, which knows best."""
        return np.asarray(self.array[key])
