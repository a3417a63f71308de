"""What networks with a cached image do alike: check sizes, read times, add the image's features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from segdiff.errors import ShapeError


def check_multiple(x: Tensor, multiple: int) -> None:
    """ShapeError unless height and width of (..., H, W) are multiples of `multiple`."""
    height, width = x.shape[-2:]
    if height % multiple or width % multiple:
        raise ShapeError(
            f"{height} x {width}: this network needs multiples of {multiple}: "
            f"pad to {height + -height % multiple} x {width + -width % multiple}"
        )


def read_times(t: float | Tensor | Sequence[float], x_t: Tensor) -> Tensor:
    """`t` as a tensor on the device of x_t: one number, or one for each entry.

    Raises:
        ShapeError: another number of them.
    """
    if isinstance(t, (int, float)):  # made on the device: copying a number there would wait for it
        times = torch.full((1,), float(t), device=x_t.device)
    else:
        times = torch.as_tensor(t, device=x_t.device).reshape(-1)
    if len(times) not in (1, len(x_t)):
        raise ShapeError(f"{len(times)} times for {len(x_t)} entries: give one, or one for each")
    return times


def add_features(x: Tensor, features: Tensor) -> Tensor:
    """x (K * N, ...), chain-major, plus features (N, ...): broadcast over K, without copies."""
    # shape[0], not len(): an exporter that traces follows it to other batches
    return (x.unflatten(0, (-1, features.shape[0])) + features).flatten(0, 1)


def to_blocks(x: Tensor, size: int) -> Tensor:
    """(B, M, H, W) to (B, M size^2, H / size, W / size), channels-last: `torch.nn.PixelUnshuffle` in one copy."""
    if size == 1:
        return x
    blocks = x.unflatten(3, (-1, size)).unflatten(2, (-1, size)).permute(0, 2, 4, 1, 3, 5)
    return blocks.flatten(3).permute(0, 3, 1, 2)


def to_pixels(x: Tensor, size: int) -> Tensor:
    """The inverse of `to_blocks`."""
    if size == 1:
        return x
    pixels = x.permute(0, 2, 3, 1).unflatten(3, (-1, size, size)).permute(0, 3, 1, 4, 2, 5)
    return pixels.flatten(4).flatten(2, 3)
