"""Resize an image window by window: each window is what the same rectangle of the whole resized image would be.

The filter is bilinear, widened where it shrinks (antialiasing), with the conventions of PyTorch's
`interpolate(mode="bilinear", antialias=True)`: pixel i covers [i, i + 1), weights are normalised at the borders. The
sum over input pixels runs in their order, so that a value does not depend on the window that it is computed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Axis:
    """One axis of a resampling.

    Attributes:
        length: pixels of the input.
        step: input pixels per output pixel; above 1 it shrinks.
    """

    length: int
    step: float

    @property
    def _reach(self) -> float:
        return max(self.step, 1.0)

    def span(self, start: int, count: int) -> slice:
        """Return the input pixels that the output pixels start .. start + count - 1 depend on."""
        low, high = self._bounds(np.array([start, start + count - 1]))
        return slice(int(low[0]), int(high[1]))

    def weights(self, start: int, count: int) -> Any:
        """Return a sparse matrix, float32 (count, length of `span(start, count)`), whose rows sum to 1."""
        from scipy.sparse import csr_array

        span, targets = self.span(start, count), np.arange(start, start + count)
        low, high = self._bounds(targets)
        counts = high - low
        rows = np.repeat(np.arange(count), counts)
        columns = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + low[rows]
        centres = (targets + 0.5) * self.step
        values = np.clip(1 - np.abs(columns + 0.5 - centres[rows]) / self._reach, 0, None)
        values /= np.bincount(rows, values, count)[rows]
        shape = (count, span.stop - span.start)
        return csr_array((values.astype(np.float32), (rows, columns - span.start)), shape=shape)

    def _bounds(self, targets: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First input pixel of each output pixel, and the one behind the last."""
        centres = (targets + 0.5) * self.step
        low = np.floor(centres - self._reach + 0.5).astype(np.int64).clip(0, self.length - 1)
        high = np.floor(centres + self._reach + 0.5).astype(np.int64).clip(1, self.length)
        return low, np.maximum(high, low + 1)


def resample(part: NDArray[Any], row_weights: Any, column_weights: Any) -> NDArray[np.float32]:
    """Apply the weights of both axes to an image: (h, w) or (h, w, C) to float32 (h', w'[, C])."""
    pixels = part.astype(np.float32, copy=False)
    height, width, *channels = pixels.shape
    rows = np.asarray(row_weights @ pixels.reshape(height, -1))
    turned = np.moveaxis(rows.reshape(len(rows), width, -1), 1, 0)
    columns = np.asarray(column_weights @ turned.reshape(width, -1))
    found = np.moveaxis(columns.reshape(columns.shape[0], len(rows), -1), 0, 1)
    return np.ascontiguousarray(found.reshape(len(rows), columns.shape[0], *channels))
