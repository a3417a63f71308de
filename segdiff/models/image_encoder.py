"""G of the fast network: an image to features at three scales, once an image.

A U-shaped network of residual blocks (He et al. 2016, arXiv:1512.03385) with a feature pyramid on top (Lin et al. 2017,
arXiv:1612.03144); or any encoder of segmentation-models-pytorch under the same pyramid.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from segdiff.errors import ConfigError

FACTORS = (4, 8, 16)  # of the three scales


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm, which disappears into them at inference; the first may halve the size."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.skip = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return F.relu(self.norm2(self.conv2(h)) + self.skip(x), inplace=True)


class ResidualTrunk(nn.Module):
    """A stem of 5 x 5 at stride 2, then residual blocks at 1/2, 1/4, 1/8 and 1/16 of the size.

    Args:
        stem_stride: 2, or 1 to have all of these twice as fine.
        image_channels: C.
        channels: width at each of the four scales.
        blocks: residual blocks at each.
    """

    def __init__(
        self, image_channels: int, channels: Sequence[int], blocks: Sequence[int], stem_stride: int = 2
    ) -> None:
        super().__init__()
        self.out_channels = tuple(channels[1:])
        self.stem = nn.Sequential(
            nn.Conv2d(image_channels, channels[0], 5, stem_stride, 2, bias=False),
            nn.BatchNorm2d(channels[0]),
            nn.ReLU(inplace=True),
        )
        stages, now = [], channels[0]
        for level, (width, count) in enumerate(zip(channels, blocks, strict=True)):
            layers = [BasicBlock(now if i == 0 else width, width, 2 if level and i == 0 else 1) for i in range(count)]
            stages.append(nn.Sequential(*layers))
            now = width
        self.stages = nn.ModuleList(stages)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.stem(image)
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found[1:]


class BorrowedTrunk(nn.Module):
    """An encoder of segmentation-models-pytorch by its name, down to 1/16 of the size.

    Raises:
        ConfigError: a name that it does not know, or an encoder that has not the three scales.
    """

    def __init__(self, name: str, image_channels: int) -> None:
        super().__init__()
        from segdiff.models.smp import smp_encoder  # some seconds to import: only for networks that use it

        self.encoder = smp_encoder(name, image_channels, depth=4)
        self.out_channels = tuple(self.encoder.out_channels[-3:])
        # Encoders that begin with patches have a level of no channels at 1/2; it is not used here.
        if len(self.encoder.out_channels) != 5 or 0 in self.out_channels:
            raise ConfigError(f"model.encoder={name} has no features at 1/4, 1/8 and 1/16 of the size")

    def forward(self, image: Tensor) -> list[Tensor]:
        return list(self.encoder(image)[-3:])


class Pyramid(nn.Module):
    """From the trunk's three scales to three maps that each know the coarser ones.

    Args:
        channels_in: of the trunk at 1/4, 1/8, 1/16.
        channels: of the result, likewise.
    """

    def __init__(self, channels_in: Sequence[int], channels: Sequence[int]) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(i, o, 1) for i, o in zip(channels_in, channels, strict=True))
        self.down = nn.ModuleList(
            nn.Conv2d(channels[level + 1], channels[level], 1) for level in range(len(channels) - 1)
        )
        self.smooth = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(inplace=True),
                nn.Conv2d(width, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            )
            for width in channels
        )

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        found: list[Tensor] = []
        coarser = None
        for level in reversed(range(len(features))):
            x = self.lateral[level](features[level])
            if coarser is not None:
                x = x + F.interpolate(self.down[level](coarser), scale_factor=2.0, mode="nearest")
            coarser = self.smooth[level](x)
            found.append(coarser)
        return tuple(reversed(found))


class ImageEncoder(nn.Module):
    """G(I): image (N, C, H, W), normalised, to three maps at 1/4, 1/8 and 1/16 of the size.

    Args:
        image_channels: C.
        encoder: null for the own trunk, or the name of an encoder of segmentation-models-pytorch.
        channels, blocks: of the own trunk, at 1/2, 1/4, 1/8, 1/16.
        pyramid: widths of the three maps.
        stem_stride: of the own trunk.
    """

    def __init__(
        self,
        image_channels: int,
        encoder: str | None,
        channels: Sequence[int],
        blocks: Sequence[int],
        pyramid: Sequence[int],
        stem_stride: int = 2,
    ) -> None:
        super().__init__()
        self.trunk = (
            ResidualTrunk(image_channels, channels, blocks, stem_stride)
            if encoder is None
            else BorrowedTrunk(encoder, image_channels)
        )
        self.pyramid = Pyramid(self.trunk.out_channels, pyramid)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.pyramid(self.trunk(image))


class DirectHead(nn.Module):
    """G's own guess of the mask from its finest map: (N, channels, h, w) to (N, outputs, h, w), to be
    pixel-shuffled."""

    def __init__(self, channels: int, outputs: int, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, outputs, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
