"""The parts of the U-Net: time embedding, residual block, attention, resampling.

Source: Nichol and Dhariwal 2021 (arXiv:2102.09672), the settings of Amit et al. 2021 (arXiv:2112.00390).
Parameter names are the published checkpoint's.
"""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segdiff.errors import ConfigError

Module = TypeVar("Module", bound=nn.Module)


def timestep_embedding(t: Tensor, width: int) -> Tensor:
    """Sinusoids of times: cosines first, then sines, then a zero column where `width` is odd.

    t: integer or float, shape (B,). Returns float32 (B, width); frequencies 10000^(-k / (width // 2)).
    """
    half = width // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32, device=t.device) / half)
    angles = t.float()[:, None] * frequencies
    return F.pad(torch.cat((angles.cos(), angles.sin()), 1), (0, width % 2))


def zeroed(module: Module) -> Module:
    """The module with all parameters set to 0, so that a block begins as the identity."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def group_norm(channels: int, groups: int) -> nn.GroupNorm:
    """Group norm that says which width does not divide."""
    if channels % groups:
        raise ConfigError(f"model: {channels} channels do not divide into norm_groups={groups}")
    return nn.GroupNorm(groups, channels)


class ResidualBlock(nn.Module):
    """Two convolutions with the time in between: added, or as scale and shift of the second norm."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        time_width: int,
        *,
        groups: int,
        dropout: float,
        scale_shift: bool,
    ) -> None:
        super().__init__()
        self.scale_shift = scale_shift
        self.in_layers = nn.Sequential(
            group_norm(channels_in, groups), nn.SiLU(), nn.Conv2d(channels_in, channels_out, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time_width, channels_out * (1 + scale_shift)))
        self.out_layers = nn.Sequential(
            group_norm(channels_out, groups),
            nn.SiLU(),
            nn.Dropout(dropout),
            zeroed(nn.Conv2d(channels_out, channels_out, 3, padding=1)),
        )
        same = channels_in == channels_out
        self.skip_connection = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """x: (B, channels_in, H, W); time: (B or 1, time_width). Returns (B, channels_out, H, W)."""
        h = self.in_layers(x)
        embedding = self.emb_layers(time).to(h.dtype)[:, :, None, None]
        if self.scale_shift:
            scale, shift = embedding.chunk(2, dim=1)
            h = self.out_layers[0](h) * (1 + scale) + shift
            h = self.out_layers[1:](h)
        else:
            h = self.out_layers(h + embedding)
        return self.skip_connection(x) + h


class AttentionBlock(nn.Module):
    """Self-attention over all positions; the qkv channels are split by head first, then into q, k and v."""

    def __init__(self, channels: int, heads: int, groups: int) -> None:
        super().__init__()
        if channels % heads:
            raise ConfigError(f"model: {channels} channels do not divide into num_heads={heads}")
        self.heads = heads
        self.norm = group_norm(channels, groups)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = zeroed(nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        flat = x.flatten(2)
        qkv = self.qkv(self.norm(flat)).unflatten(1, (self.heads, 3, -1))  # (B, heads, 3, C / heads, H W)
        q, k, v = qkv.transpose(-1, -2).unbind(2)
        attended = F.scaled_dot_product_attention(q, k, v)  # (B, heads, H W, C / heads)
        return x + self.proj_out(attended.transpose(-1, -2).flatten(1, 2)).unflatten(2, x.shape[2:])


class Downsample(nn.Module):
    """Half the size: a convolution of stride 2, or the mean of 2 x 2."""

    def __init__(self, channels: int, learned: bool) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1) if learned else nn.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class Upsample(nn.Module):
    """Twice the size: nearest neighbour, then (where learned) a convolution."""

    def __init__(self, channels: int, learned: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1) if learned else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class Stage(nn.Sequential):
    """Layers in sequence, of which residual blocks are told the time."""

    def forward(self, x: Tensor, time: Tensor) -> Tensor:  # type: ignore[override]
        for layer in self:
            x = layer(x, time) if isinstance(layer, ResidualBlock) else layer(x)
        return x
