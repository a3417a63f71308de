"""The arrays of a result: what is blended, and what becomes of the blended sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.inference.blend import STRIP, Blend
from segdiff.inference.chains import ChainStatistics
from segdiff.inference.temperature import temper

Allocate = Callable[[tuple[int, ...]], Any]


def layers_of(statistics: ChainStatistics) -> list[NDArray[Any]]:
    """What is blended: the mean, the variance where there are several chains, and chains that were kept."""
    layers: list[NDArray[Any]] = [statistics.mean]
    if statistics.count > 1:
        layers.append(statistics.variance)
    return layers + list(statistics.chains or [])


def empty_blend(layers: int, channels: int, size: tuple[int, int], allocate: Allocate | None) -> Blend:
    """Zeros for the layers: (H, W) each for one mask channel, else (M, H, W)."""
    zeros = allocate or (lambda shape: np.zeros(shape, dtype=np.float32))
    shape = size if channels == 1 else (channels, *size)
    return Blend([zeros(shape) for _ in range(layers)], zeros(size))


def stacked(layers: list[Any], first: int) -> NDArray[np.float32]:
    """The layers from `first` on as one array; each is let go of once it is copied, so that memory holds them once."""
    stacked = np.empty((len(layers) - first, *layers[first].shape), np.float32)
    for number in range(len(stacked)):
        stacked[number] = layers.pop(first)
    return stacked


def tempered(probability: Any, temperature: float) -> Any:
    """In place, strip by strip, like `square_root`."""
    if temperature != 1.0:
        for row in range(0, probability.shape[-2], STRIP):
            rows = slice(row, row + STRIP)
            probability[..., rows, :] = temper(probability[..., rows, :], temperature)
    return probability


def square_root(variance: Any) -> Any:
    """In place, strip by strip: the array may lie on disk."""
    for row in range(0, variance.shape[-2], STRIP):
        rows = slice(row, row + STRIP)
        variance[..., rows, :] = np.sqrt(variance[..., rows, :])
    return variance
