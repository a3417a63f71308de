"""The published system's checkpoints: its network from nothing but the tensors.

Every setting but the number of heads shows in names and shapes; heads only divide the channels of a product, so they
must be told (4 in every published preset). Dropout does not act at inference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from segdiff.errors import ConfigError
from segdiff.models.segdiff import SegDiff, SegDiffConfig


def config_from_official(state_dict: Mapping[str, Tensor], num_heads: int = 4) -> SegDiffConfig:
    """The settings of the network that a published state dict belongs to.

    Raises:
        ConfigError: tensors that are not such a checkpoint, or one of a class-conditional network.
    """
    try:
        return _infer(state_dict, num_heads)
    except (KeyError, IndexError, ZeroDivisionError) as error:
        raise ConfigError(f"not a published SegDiff checkpoint: {error} was expected of its tensors") from error


def from_official(state_dict: Mapping[str, Tensor], num_heads: int = 4) -> SegDiff:
    """The published network with its weights, in evaluation mode.

    Args:
        state_dict: tensors under the published names, of any configuration of that code.
        num_heads: attention heads.
    Raises:
        ConfigError: the tensors do not make such a network.
    """
    network = SegDiff(config_from_official(state_dict, num_heads))
    load_official(network, state_dict)
    return network.eval()


def load_official(network: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Load published tensors into a network of their settings.

    Raises:
        ConfigError: one is missing, one is too many, or a shape differs; the first is named.
    """
    try:
        network.load_state_dict(dict(state_dict))
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise ConfigError(f"not a published SegDiff checkpoint: {first[0].strip()}") from error


def _infer(tensors: Mapping[str, Tensor], num_heads: int) -> SegDiffConfig:
    if any(name.startswith("label_emb.") for name in tensors):
        raise ConfigError("the checkpoint is of a class-conditional network (label_emb), which is not supported")
    first = tensors["input_blocks.0.0.weight"]
    channels, mask_channels = first.shape[:2]
    widths, factors, blocks_per_level, learned = _encoder(tensors)
    outputs = tensors["out.2.weight"].shape[0]
    if outputs not in (mask_channels, 2 * mask_channels):
        raise ConfigError(f"the checkpoint has {outputs} outputs for {mask_channels} mask channels")
    embedding = tensors["input_blocks.1.0.emb_layers.1.weight"].shape[0]
    return SegDiffConfig(
        image_channels=tensors["rrdb.conv_first.weight"].shape[1],
        mask_channels=mask_channels,
        learned_variance=outputs == 2 * mask_channels,
        channels=channels,
        channel_mult=tuple(width // channels for width in widths),
        num_res_blocks=blocks_per_level,
        attention_factors=factors,
        num_heads=num_heads,
        scale_shift_norm=embedding == 2 * widths[0],
        conv_resample=learned,
        rrdb_blocks=1 + max(_indices(tensors, r"rrdb\.RRDB_trunk\.(\d+)\.")),
        rrdb_channels=tensors["rrdb.conv_first.weight"].shape[0],
        rrdb_growth=tensors["rrdb.RRDB_trunk.0.RDB1.conv1.weight"].shape[0],
    )


def _encoder(tensors: Mapping[str, Tensor]) -> tuple[list[int], tuple[int, ...], int, bool]:
    """Widths of the levels, factors with attention, residual blocks a level, and whether resampling is learned.

    A stage with `in_layers` is a residual block; one without is a downsampling, which has no tensors at all where it
    is not learned. The last level has no downsampling after it.
    """
    last = max(_indices(tensors, r"input_blocks\.(\d+)\."))
    levels: list[list[int]] = [[]]
    for i in range(1, last + 1):
        if f"input_blocks.{i}.0.in_layers.2.weight" in tensors:
            levels[-1].append(i)
        else:
            levels.append([])
    blocks = len(levels[0])
    if not blocks or any(len(level) != blocks for level in levels):
        raise ConfigError("not a published SegDiff checkpoint: its levels differ in their number of blocks")
    widths = [tensors[f"input_blocks.{level[0]}.0.in_layers.2.weight"].shape[0] for level in levels]
    factors = tuple(2**k for k, level in enumerate(levels) if f"input_blocks.{level[0]}.1.qkv.weight" in tensors)
    learned = len(levels) == 1 or f"input_blocks.{blocks + 1}.0.op.weight" in tensors
    return widths, factors, blocks, learned


def _indices(names: Iterable[str], pattern: str) -> list[int]:
    found = [int(match[1]) for name in names if (match := re.match(pattern, name))]
    if not found:
        raise KeyError(pattern)
    return found
