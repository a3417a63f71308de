"""The fast network: a deep G that runs once an image, and a light denoiser at a quarter of the size.

F(x_t) + G(I) as in Amit et al. 2021 (arXiv:2112.00390), section 3, but summed at every scale: a step of the denoiser
costs a few hundredths of G, so that chains are nearly free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segdiff.errors import ConfigError, ShapeError
from segdiff.models.image_encoder import FACTORS, DirectHead, ImageEncoder
from segdiff.models.shapes import add_features, check_multiple, read_times
from segdiff.models.unet import timestep_embedding, zeroed

LARGEST = 4096
TIME_WIDTH = 64


@dataclass(frozen=True)
class FastConfig:
    """Widths and depths.

    Args:
        image_channels, mask_channels: of I and of x_t.
        encoder: of G: null for its own trunk, or the name of an encoder of segmentation-models-pytorch.
        encoder_channels, encoder_blocks: widths and residual blocks of the own trunk at 1/2, 1/4, 1/8, 1/16.
        pyramid_channels: widths of G's maps at 1/4, 1/8, 1/16.
        denoiser_channels: widths of the denoiser at 1/4, 1/8, 1/16; multiples of `norm_groups`.
        norm_groups: groups of the denoiser's group norms.
        direct_path: G's own guess of the mask is added to what the denoiser says.
        finest: all of these scales are 4 / finest times finer: 4, or 2 for objects of few pixels, at four times the
            cost.
    Raises:
        ConfigError: a value that cannot be.
    """

    image_channels: int = 3
    mask_channels: int = 1
    encoder: str | None = None
    encoder_channels: tuple[int, ...] = (32, 64, 128, 192)
    encoder_blocks: tuple[int, ...] = (1, 3, 3, 3)
    pyramid_channels: tuple[int, ...] = (96, 128, 128)
    denoiser_channels: tuple[int, ...] = (32, 64, 64)
    norm_groups: int = 8
    direct_path: bool = True
    finest: int = 4

    def __post_init__(self) -> None:
        for name, length in (
            ("encoder_channels", 4),
            ("encoder_blocks", 4),
            ("pyramid_channels", 3),
            ("denoiser_channels", 3),
        ):
            values = tuple(getattr(self, name))
            object.__setattr__(self, name, values)
            if len(values) != length or not all(1 <= value <= LARGEST for value in values):
                raise ConfigError(f"model.{name}={list(values)}: {length} numbers from 1 to {LARGEST} are needed")
        for name in ("image_channels", "mask_channels", "norm_groups"):
            if not 1 <= getattr(self, name) <= LARGEST:
                raise ConfigError(f"model.{name}={getattr(self, name)}: 1 to {LARGEST} is possible")
        if self.finest not in (2, 4) or (self.finest == 2 and self.encoder is not None):
            raise ConfigError(
                f"model.finest={self.finest}: 4 is possible, and 2 for the own trunk (model.encoder=null)"
            )
        if any(width % self.norm_groups for width in self.denoiser_channels):
            widths = list(self.denoiser_channels)
            raise ConfigError(f"model.norm_groups={self.norm_groups} does not divide model.denoiser_channels={widths}")


class ModulatedBlock(nn.Module):
    """x + conv(ReLU(norm(x) * (1 + scale) + shift)), scale and shift told by the time.

    Source: Perez et al. 2018, arXiv:1709.07871 (FiLM).
    """

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.film = nn.Linear(TIME_WIDTH, 2 * channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def modulated(self, x: Tensor, time: Tensor) -> Tensor:
        """What is convolved: ReLU(norm(x) * (1 + scale) + shift)."""
        scale, shift = self.film(time).chunk(2, 1)
        if len(scale) == 1:  # one time for all, as in sampling: the norm's own affine map saves a pass over memory
            h = F.group_norm(x, self.groups, 1 + scale[0], shift[0])
        else:
            h = torch.addcmul(shift[..., None, None], F.group_norm(x, self.groups), 1 + scale[..., None, None])
        return F.relu(h, inplace=True)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return x + self.conv(self.modulated(x, time))


class FastSegDiff(nn.Module):
    """A denoiser with a cached image: `features = encode(image)` once, then `forward(x_t, t, features)`."""

    takes_previous = True

    def __init__(self, config: FastConfig) -> None:
        super().__init__()
        self.config = config
        fine, middle, coarse = config.denoiser_channels
        self.finest = config.finest  # the denoiser sees blocks of so many by so many mask pixels as channels
        self.size_multiple = config.finest * FACTORS[-1] // FACTORS[0]
        pixels, groups = config.mask_channels * self.finest**2, config.norm_groups
        self.encoder = image_encoder(config)
        self.project = nn.ModuleList(
            nn.Conv2d(i, o, 1) for i, o in zip(config.pyramid_channels, config.denoiser_channels, strict=True)
        )
        self.direct = DirectHead(config.pyramid_channels[0], pixels) if config.direct_path else None
        self.time = nn.Sequential(
            nn.Linear(TIME_WIDTH, TIME_WIDTH), nn.SiLU(), nn.Linear(TIME_WIDTH, TIME_WIDTH), nn.SiLU()
        )
        self.enter = nn.Conv2d(2 * config.mask_channels, fine, self.finest, self.finest)  # x_t and the previous x_0
        self.block_fine = ModulatedBlock(fine, groups)
        self.down_middle = nn.Conv2d(fine, middle, 2, 2)
        self.block_middle = ModulatedBlock(middle, groups)
        self.down_coarse = nn.Conv2d(middle, coarse, 2, 2)
        self.block_coarse = ModulatedBlock(coarse, groups)
        self.up_middle = nn.Conv2d(coarse, middle, 1)
        self.up_fine = nn.Conv2d(middle, fine, 1)
        self.leave = zeroed(nn.Conv2d(fine, pixels, 1))  # begins as G's own guess

    @property
    def borrowed(self) -> Any:
        """G's encoder where it is one of another library, for pretrained weights; else None."""
        return getattr(self.encoder.trunk, "encoder", None)

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """G(I): image (N, C, H, W), normalised, to what the denoiser adds at each scale. Once an image.

        Returns:
            (N, width, H / f, W / f) for f = 4, 8, 16, and with `direct_path` G's guess (N, 16 M, H / 4, W / 4).
        Raises:
            ShapeError: H or W is not a multiple of 16.
        """
        check_multiple(image, self.size_multiple)
        maps = self.encoder(image)
        features = tuple(layer(x) for layer, x in zip(self.project, maps, strict=True))
        return features if self.direct is None else (*features, self.direct(maps[0]))

    def forward(
        self,
        x_t: Tensor,
        t: float | Tensor | Sequence[float],
        features: Sequence[Tensor],
        previous: Tensor | None = None,
    ) -> Tensor:
        """What is predicted.

        Args:
            x_t: (K * N, M, H, W), chain-major: entry k * N + n belongs to image n.
            t: one number or one for each entry, as the network was trained with (the log-SNR).
            features: of `encode`, batch N; added by broadcasting over K, without copies.
            previous: the last x_0, of the shape of x_t; None is as zeros.
        Returns:
            (K * N, M, H, W).
        Raises:
            ShapeError: sizes that do not go together, or an H or W that is not a multiple of 16.
        """
        check_multiple(x_t, self.size_multiple)
        images, (height, width) = len(features[0]), features[0].shape[2:]
        if len(x_t) % images or x_t.shape[2:] != (self.finest * height, self.finest * width):
            raise ShapeError(f"x_t {tuple(x_t.shape)} does not go with features of {images} x {height} x {width}")
        seen = torch.cat((x_t, torch.zeros_like(x_t) if previous is None else previous), 1)
        return F.pixel_shuffle(self.blocks(self.enter(seen), t, features), self.finest)

    def blocks(self, entered: Tensor, t: float | Tensor | Sequence[float], features: Sequence[Tensor]) -> Tensor:
        """All between the first layer, which makes channels of blocks of pixels, and the pixels of those blocks.

        Args:
            entered: (K * N, width, H / f, W / f), what `enter` makes of x_t and the previous x_0.
        Returns:
            (K * N, M f^2, H / f, W / f), in the order of `torch.nn.PixelShuffle`.
        """
        time = self.time(timestep_embedding(read_times(t, entered), TIME_WIDTH).to(entered.dtype))
        fine = self.block_fine(add_features(entered, features[0]), time)
        middle = self.block_middle(add_features(self.down_middle(fine), features[1]), time)
        coarse = self.block_coarse(add_features(self.down_coarse(middle), features[2]), time)
        middle = middle + F.interpolate(self.up_middle(coarse), scale_factor=2.0, mode="nearest")
        fine = fine + F.interpolate(self.up_fine(F.relu(middle)), scale_factor=2.0, mode="nearest")
        out = self.leave(F.relu(fine))
        return out if self.direct is None else add_features(out, features[3])


def image_encoder(config: FastConfig) -> ImageEncoder:
    """G of these settings."""
    return ImageEncoder(
        config.image_channels,
        config.encoder,
        config.encoder_channels,
        config.encoder_blocks,
        config.pyramid_channels,
        stem_stride=config.finest // 2,
    )


class DirectNetwork(nn.Module):
    """G with a direct head and no diffusion: image (N, C, H, W) to log-odds (N, M, H, W)."""

    def __init__(self, config: FastConfig) -> None:
        super().__init__()
        self.config = config
        self.size_multiple = config.finest * FACTORS[-1] // FACTORS[0]
        self.encoder = image_encoder(config)
        self.head = DirectHead(config.pyramid_channels[0], config.mask_channels * config.finest**2)

    @property
    def borrowed(self) -> Any:
        """As `FastSegDiff.borrowed`."""
        return getattr(self.encoder.trunk, "encoder", None)

    def forward(self, image: Tensor) -> Tensor:
        """Raises ShapeError where H or W is not a multiple of 16."""
        check_multiple(image, self.size_multiple)
        return F.pixel_shuffle(self.head(self.encoder(image)[0]), self.config.finest)
