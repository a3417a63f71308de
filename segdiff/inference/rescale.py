"""Between the grid of an image and the grid that a model sees.

Pixel i of one grid covers [i, i + 1); a point y on the image lies at y * (model length / image length) on the
model's grid (the convention of `align_corners=False`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.resize import interpolate, to_grid
from segdiff.errors import ConfigError
from segdiff.inference.windows import Window

LONGEST_SIDE = 2**20
MOST_GROWTH = 64  # 10 micrometres per pixel, the coarsest of microscopes, is 40 times the 0.25 of most models
STRIP = 512  # rows


@dataclass(frozen=True)
class Grids:
    """Two grids over one picture.

    Args:
        image: (height, width) of the picture as handed in.
        model: (height, width) of what the model sees.
        fixed: the model's grid is one for all pictures (`segdiff.data.resize.to_grid`), not a scale.
    """

    image: tuple[int, int]
    model: tuple[int, int]
    fixed: bool = False

    @classmethod
    def at_scale(cls, height: int, width: int, scale: float) -> Grids:
        """The model's grid is `scale` times the image's, at least one pixel a side.

        Raises:
            ConfigError: nothing would be left of the picture, or it would grow more than 64 times, or beyond 2^20
                pixels a side.
        """
        longest = max(height, width) * scale
        most = min(LONGEST_SIDE, MOST_GROWTH * max(height, width))
        if not 0.5 < longest <= most:
            raise ConfigError(
                f"scale {scale:.4g} makes {longest:.4g} pixels of the {max(height, width)} of the picture's longer "
                f"side: 1 to {most} are possible (wrong --scale, --mpp or --diameter?)"
            )
        return cls((height, width), (max(1, round(height * scale)), max(1, round(width * scale))))

    @property
    def same(self) -> bool:
        return self.image == self.model

    @property
    def factor(self) -> float:
        """From the image's grid to the model's, by the height."""
        return self._step(0)

    def to_model(self, image: NDArray[Any]) -> NDArray[Any]:
        """(H, W, C) of the image's grid on the model's, bilinearly: float32; bytes stay bytes on a fixed grid."""
        return to_grid(image, self.model) if self.fixed else interpolate(image, self.model, antialias=True)

    def place(self, window: Window) -> Window:
        """The pixels of the image whose centres lie in a window of the model's grid; it may be empty."""
        if self.same:
            return window
        top, bottom = self._span(0, window.top, window.height)
        left, right = self._span(1, window.left, window.width)
        return Window(top, left, bottom - top, right - left)

    def to_image(self, values: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
        """Values (..., h, w) of a window of the model's grid, at the pixels of `place(window)`.

        h and w may be larger than the window (padding at the right and bottom, which is cut off). Bilinear
        without antialiasing; within half a pixel of the window's border the nearest value.
        """
        values = values[..., : window.height, : window.width]
        if self.same:
            return values
        place = self.place(window)
        above, down = self._interpolation(0, place.top, place.height, window.top, window.height)
        left, right = self._interpolation(1, place.left, place.width, window.left, window.width)
        found = np.empty((*values.shape[:-2], place.height, place.width), np.float32)
        # One after the other and strip by strip: of a picture that is shown much smaller, a window is large here.
        for index in np.ndindex(values.shape[:-2]):
            for row in range(0, place.height, STRIP):
                rows = slice(row, row + STRIP)
                strip = _between(values[index], above[rows], down[rows])
                found[index][rows] = _between(strip.T, left, right).T
        return found

    def _step(self, axis: int) -> float:
        return self.model[axis] / self.image[axis]

    def _span(self, axis: int, start: int, length: int) -> tuple[int, int]:
        """The first image pixels whose centres are not before `start`, and `start + length`."""
        step = self._step(axis)
        first, end = math.ceil(start / step - 0.5), math.ceil((start + length) / step - 0.5)
        # The last window ends with the picture, whatever rounding says.
        return max(first, 0), self.image[axis] if start + length == self.model[axis] else end

    def _interpolation(
        self, axis: int, first: int, count: int, start: int, length: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Of each of `count` image pixels: the window's pixel before it, and how far it is on the way to the next."""
        at = (np.arange(first, first + count) + 0.5) * self._step(axis) - 0.5 - start
        at = at.clip(0, length - 1)
        low = at.astype(np.int64).clip(0, max(length - 2, 0))
        return low, at - low


def _between(values: NDArray[Any], low: NDArray[np.int64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of `values` (h, w) at places between two of them: (len(low), w)."""
    high = (low + 1).clip(max=len(values) - 1)
    return values[low] * (1 - share[:, None]) + values[high] * share[:, None]
