"""G, the image encoder: a residual-in-residual dense network at full resolution.

Source: Wang et al. 2018 (ESRGAN, arXiv:1809.00219) without its upsampling, as in Amit et al. 2021 (arXiv:2112.00390).
Parameter names are the published checkpoint's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

RESIDUAL_SCALE = 0.2
SLOPE = 0.2


def conv3x3(channels_in: int, channels_out: int) -> nn.Conv2d:
    """3 x 3 convolution that keeps the size."""
    return nn.Conv2d(channels_in, channels_out, 3, padding=1)


class ResidualDenseBlock(nn.Module):
    """Five convolutions, each of which sees the input and all outputs before it; x + 0.2 * the last."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, growth)
        self.conv2 = conv3x3(channels + growth, growth)
        self.conv3 = conv3x3(channels + 2 * growth, growth)
        self.conv4 = conv3x3(channels + 3 * growth, growth)
        self.conv5 = conv3x3(channels + 4 * growth, channels)

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen = torch.cat((seen, F.leaky_relu(conv(seen), SLOPE)), 1)
        return x + RESIDUAL_SCALE * self.conv5(seen)


class RRDB(nn.Module):
    """Three residual dense blocks; x + 0.2 * their output."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.RDB1 = ResidualDenseBlock(channels, growth)
        self.RDB2 = ResidualDenseBlock(channels, growth)
        self.RDB3 = ResidualDenseBlock(channels, growth)

    def forward(self, x: Tensor) -> Tensor:
        return x + RESIDUAL_SCALE * self.RDB3(self.RDB2(self.RDB1(x)))


class RRDBNet(nn.Module):
    """G(I): (N, in_channels, H, W) to (N, out_channels, H, W), any H and W.

    Args:
        in_channels: of the image.
        out_channels: width of the U-Net's first level, to which G is added.
        blocks: number of RRDBs (12, 6 and 15 in the published presets).
        channels, growth: widths inside (64 and 32 as published).
    """

    def __init__(self, in_channels: int, out_channels: int, blocks: int, channels: int = 64, growth: int = 32) -> None:
        super().__init__()
        self.conv_first = conv3x3(in_channels, channels)
        self.RRDB_trunk = nn.Sequential(*(RRDB(channels, growth) for _ in range(blocks)))
        self.trunk_conv = conv3x3(channels, channels)
        self.HRconv = conv3x3(channels, channels)
        self.conv_last = conv3x3(channels, out_channels)

    def forward(self, image: Tensor) -> Tensor:
        first = self.conv_first(image)
        features = first + self.trunk_conv(self.RRDB_trunk(first))
        return self.conv_last(F.leaky_relu(self.HRconv(features), SLOPE))
