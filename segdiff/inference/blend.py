"""How overlapping windows become one picture: a weighted mean, in float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.errors import ConfigError, ShapeError
from segdiff.inference.windows import Window

# A Gaussian of deviation window / 8 falls to exp(-8) at the border: below this floor it is held, along each axis
# by itself. (A floor for the product of both would make border and inside weigh alike far from the other axis's
# centre, and a window's border would be seen there.)
LEAST_WEIGHT = 1e-3
# Sums are divided in strips of so many rows: arrays on disk do not fit memory.
STRIP = 1024


def gaussian_weights(height: int, width: int) -> NDArray[np.float32]:
    """A Gaussian over the window, 1 at its centre, along each axis not below 0.001: float32 (height, width)."""

    def bell(length: int) -> NDArray[np.float64]:
        distance = (np.arange(length) - (length - 1) / 2) / (length / 8)
        return np.maximum(np.exp(-0.5 * distance**2), LEAST_WEIGHT)

    return np.outer(bell(height), bell(width)).astype(np.float32)


def constant_weights(height: int, width: int) -> NDArray[np.float32]:
    """Ones, the published rule: float32 (height, width)."""
    return np.ones((height, width), dtype=np.float32)


WEIGHTS: dict[str, Callable[[int, int], NDArray[np.float32]]] = {
    "gaussian": gaussian_weights,
    "constant": constant_weights,
}


def weights_named(kind: str) -> Callable[[int, int], NDArray[np.float32]]:
    """The function (height, width) -> weights of that name.

    Raises:
        ConfigError: there is none of that name.
    """
    if kind not in WEIGHTS:
        raise ConfigError(f"weights={kind} is not known; known: {', '.join(WEIGHTS)}")
    return WEIGHTS[kind]


class Blend:
    """Weighted means of windows, for several layers (a mean, a variance, ...) that share their weights.

    Args:
        layers: float32 arrays (..., H, W) of zeros; anything that takes slices.
        weight: the same of shape (H, W).
    """

    def __init__(self, layers: Sequence[Any], weight: Any) -> None:
        self.layers, self.weight = list(layers), weight
        if any(tuple(layer.shape[-2:]) != tuple(weight.shape) for layer in self.layers):
            shapes = [tuple(layer.shape) for layer in self.layers]
            raise ShapeError(f"layers of shapes {shapes} do not go with weights of {tuple(weight.shape)}")

    def add(self, place: Window, values: Sequence[NDArray[Any]], weights: NDArray[np.float32]) -> None:
        """Add a window: one array (..., height, width) a layer, and weights (height, width), all positive."""
        rows, columns = place.rows, place.columns
        for layer, value in zip(self.layers, values, strict=True):
            layer[..., rows, columns] = layer[..., rows, columns] + weights * value.astype(np.float32)
        self.weight[rows, columns] = self.weight[rows, columns] + weights

    def finish(self) -> list[Any]:
        """Turn the sums into means, in place, and return the layers. Every pixel must lie in some window."""
        for row in range(0, self.weight.shape[0], STRIP):
            rows = slice(row, row + STRIP)
            weight = self.weight[rows, :]
            for layer in self.layers:
                layer[..., rows, :] = layer[..., rows, :] / weight
        return self.layers
