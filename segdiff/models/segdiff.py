"""The paper's network: D(E(F(x_t) + G(I), t), t).

Source: Amit et al. 2021 (arXiv:2112.00390), section 3. Parameter names and layout are the published checkpoint's, so
that its state dict loads as it is (`segdiff.models.official`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from segdiff.errors import ConfigError, ShapeError
from segdiff.models.rrdb import RRDBNet
from segdiff.models.shapes import add_features, check_multiple, read_times
from segdiff.models.unet import (
    AttentionBlock,
    Downsample,
    ResidualBlock,
    Stage,
    Upsample,
    group_norm,
    timestep_embedding,
    zeroed,
)

LARGEST, DEEPEST = 4096, 12  # any count or width, and levels: beyond is a slip, or a file that means harm


@dataclass(frozen=True)
class SegDiffConfig:
    """Every width and depth of the network; the defaults are the published MoNuSeg preset.

    Args:
        image_channels, mask_channels: of I and of x_t.
        learned_variance: predict a second output for every mask channel, the variance.
        channels: width of the first level, and of G's output.
        channel_mult: width of each level as a multiple of `channels`; the first is 1.
        num_res_blocks: residual blocks a level (one more in the decoder).
        attention_factors: downsampling factors (1, 2, 4, ...) of the levels with attention; the middle always has it.
        num_heads: attention heads.
        dropout: in residual blocks.
        scale_shift_norm: time as scale and shift of a norm instead of a sum.
        conv_resample: learned down- and upsampling.
        norm_groups: groups of every group norm (32 as published); must divide every width.
        rrdb_blocks, rrdb_channels, rrdb_growth: number and widths of G's blocks.
    """

    image_channels: int = 3
    mask_channels: int = 1
    learned_variance: bool = False
    channels: int = 128
    channel_mult: tuple[int, ...] = (1, 1, 1, 2, 2, 4, 4)
    num_res_blocks: int = 3
    attention_factors: tuple[int, ...] = (16, 32)
    num_heads: int = 4
    dropout: float = 0.0
    scale_shift_norm: bool = False
    conv_resample: bool = True
    norm_groups: int = 32
    rrdb_blocks: int = 12
    rrdb_channels: int = 64
    rrdb_growth: int = 32

    def __post_init__(self) -> None:
        for name in ("channel_mult", "attention_factors"):  # lists, as they come from YAML
            object.__setattr__(self, name, tuple(getattr(self, name)))
        counts = [(f.name, getattr(self, f.name)) for f in fields(self) if isinstance(f.default, int)]
        counts += [("channel_mult", factor) for factor in self.channel_mult]
        for name, value in counts:
            if not isinstance(value, bool) and not 1 <= value <= LARGEST:
                raise ConfigError(f"model.{name}={value}: 1 to {LARGEST} is possible")
        if len(self.channel_mult) > DEEPEST:
            raise ConfigError(f"model.channel_mult has {len(self.channel_mult)} levels: at most {DEEPEST} are possible")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"model.dropout={self.dropout}: it lies in [0, 1)")
        if not self.channel_mult or self.channel_mult[0] != 1:
            raise ConfigError(f"model.channel_mult={list(self.channel_mult)} must begin with 1")
        factors = {2**level for level in range(len(self.channel_mult))}
        if not set(self.attention_factors) <= factors:
            raise ConfigError(
                f"model.attention_factors={list(self.attention_factors)}: this depth has {sorted(factors)}"
            )


class SegDiff(nn.Module):
    """A denoiser with a cached image: `features = encode(image)` once, then `forward(x_t, t, features)`."""

    def __init__(self, config: SegDiffConfig) -> None:
        super().__init__()
        self.config = config
        width, groups = config.channels, config.norm_groups
        time_width = 4 * width

        def block(channels_in: int, channels_out: int) -> ResidualBlock:
            return ResidualBlock(
                channels_in,
                channels_out,
                time_width,
                groups=groups,
                dropout=config.dropout,
                scale_shift=config.scale_shift_norm,
            )

        def attention(channels: int) -> AttentionBlock:
            return AttentionBlock(channels, config.num_heads, groups)

        self.rrdb = RRDBNet(config.image_channels, width, config.rrdb_blocks, config.rrdb_channels, config.rrdb_growth)
        self.time_embed = nn.Sequential(nn.Linear(width, time_width), nn.SiLU(), nn.Linear(time_width, time_width))
        self.input_blocks = nn.ModuleList([Stage(nn.Conv2d(config.mask_channels, width, 3, padding=1))])
        skips, now = [width], width
        levels = [width * mult for mult in config.channel_mult]
        for level, channels in enumerate(levels):
            attends = 2**level in config.attention_factors
            for _ in range(config.num_res_blocks):
                layers: list[nn.Module] = [block(now, channels)]
                now = channels
                if attends:
                    layers.append(attention(now))
                self.input_blocks.append(Stage(*layers))
                skips.append(now)
            if level + 1 < len(levels):
                self.input_blocks.append(Stage(Downsample(now, config.conv_resample)))
                skips.append(now)
        self.middle_block = Stage(block(now, now), attention(now), block(now, now))
        self.output_blocks = nn.ModuleList()
        for level in reversed(range(len(levels))):
            for i in range(config.num_res_blocks + 1):
                layers = [block(now + skips.pop(), levels[level])]
                now = levels[level]
                if 2**level in config.attention_factors:
                    layers.append(attention(now))
                if level and i == config.num_res_blocks:
                    layers.append(Upsample(now, config.conv_resample))
                self.output_blocks.append(Stage(*layers))
        outputs = config.mask_channels * (1 + config.learned_variance)
        self.out = nn.Sequential(group_norm(now, groups), nn.SiLU(), zeroed(nn.Conv2d(now, outputs, 3, padding=1)))

    @property
    def size_multiple(self) -> int:
        """Height and width must be multiples of this."""
        return 2 ** (len(self.config.channel_mult) - 1)

    def encode(self, image: Tensor) -> Tensor:
        """G(I): image (N, C, H, W), normalised, to (N, channels, H, W). Once an image, whatever follows.

        Raises:
            ShapeError: H or W is not a multiple of `size_multiple`.
        """
        check_multiple(image, self.size_multiple)
        return self.rrdb(image)

    def forward(
        self,
        x_t: Tensor,
        t: float | Tensor | Sequence[float],
        features: Tensor,
        previous: Tensor | None = None,
    ) -> Tensor:
        """What is predicted of the noise.

        Args:
            x_t: (K * N, M, H, W), chain-major: entry k * N + n belongs to image n.
            t: one number or one for each entry, integer or float, as the network was trained with.
            features: of `encode`, batch N; added by broadcasting over K, without copies.
            previous: the last x_0; this network ignores it.
        Returns:
            (K * N, M, H, W), or 2 M channels with a learned variance: prediction, then variance.
        Raises:
            ShapeError: sizes that do not go together, or an H or W that is not a multiple of `size_multiple`.
        """
        check_multiple(x_t, self.size_multiple)
        if len(x_t) % len(features) or x_t.shape[2:] != features.shape[2:]:
            raise ShapeError(f"x_t {tuple(x_t.shape)} does not go with features {tuple(features.shape)}")
        times = read_times(t, x_t)
        time = self.time_embed(timestep_embedding(times, self.config.channels))
        h = self.input_blocks[0](x_t, time)
        h = add_features(h, features)
        skips = [h]
        for stage in self.input_blocks[1:]:
            h = stage(h, time)
            skips.append(h)
        h = self.middle_block(h, time)
        for stage in self.output_blocks:
            h = stage(torch.cat((h, skips.pop()), 1), time)
        return self.out(h)
