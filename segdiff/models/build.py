"""From a configuration to a segmenter, by one explicit table."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from segdiff.errors import ConfigError
from segdiff.models.denoising import DiffusionSegmenter, DiffusionSettings
from segdiff.models.fast import DirectNetwork, FastConfig, FastSegDiff
from segdiff.models.plain import PlainSegmenter
from segdiff.models.segdiff import SegDiff, SegDiffConfig
from segdiff.models.segmenter import Segmenter
from segdiff.models.smp import SmpConfig, SmpNetwork
from segdiff.settings import read_settings
from segdiff.targets.build import build_target

Builder = Callable[[Mapping[str, Any], Mapping[str, Any]], Segmenter]
MASK = {"kind": "mask"}


def build_segdiff(model: Mapping[str, Any], diffusion: Mapping[str, Any]) -> Segmenter:
    """The paper's network with a diffusion."""
    config = read_settings(SegDiffConfig, "model", model)
    settings = read_settings(DiffusionSettings, "diffusion", diffusion)
    return DiffusionSegmenter(
        _checked(lambda: SegDiff(config)),
        settings,
        image_channels=config.image_channels,
        mask_channels=config.mask_channels,
        learned_variance=config.learned_variance,
    )


def build_fast(model: Mapping[str, Any], diffusion: Mapping[str, Any]) -> Segmenter:
    """The fast network with a diffusion."""
    config = read_settings(FastConfig, "model", model)
    settings = read_settings(DiffusionSettings, "diffusion", diffusion)
    return DiffusionSegmenter(
        _checked(lambda: FastSegDiff(config)) if config.encoder is None else FastSegDiff(config),
        settings,
        image_channels=config.image_channels,
        mask_channels=config.mask_channels,
    )


def build_fast_direct(model: Mapping[str, Any], diffusion: Mapping[str, Any]) -> Segmenter:
    """G of the fast network with a direct head: the same settings, no diffusion."""
    config = read_settings(FastConfig, "model", model)
    network = _checked(lambda: DirectNetwork(config)) if config.encoder is None else DirectNetwork(config)
    return _plain(network, config, diffusion)


def build_smp(model: Mapping[str, Any], diffusion: Mapping[str, Any]) -> Segmenter:
    """A network of segmentation-models-pytorch."""
    config = read_settings(SmpConfig, "model", model)
    return _plain(SmpNetwork(config), config, diffusion)


def _plain(network: nn.Module, config: FastConfig | SmpConfig, diffusion: Mapping[str, Any]) -> Segmenter:
    settings = read_settings(DiffusionSettings, "diffusion", diffusion)
    return PlainSegmenter(network, settings, image_channels=config.image_channels, mask_channels=config.mask_channels)


def _checked(build: Callable[[], nn.Module]) -> nn.Module:
    """The network, its parameters counted before any of it takes memory.

    Not for networks of other libraries, which have the sizes they have, and cannot all be built without memory.
    """
    with torch.device("meta"):
        check_memory(build())
    return build()


def check_memory(network: nn.Module) -> None:
    """ConfigError if the parameters of a network alone would not fit the memory of this machine."""
    needed = sum(p.numel() * p.element_size() for p in network.parameters())
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # a system that does not say
        return
    if needed > there:
        raise ConfigError(
            f"model: parameters of {needed / 1e9:.0f} GB; this machine has {there / 1e9:.0f} GB of memory"
        )


MODELS: dict[str, Builder] = {
    "segdiff": build_segdiff,
    "fast": build_fast,
    "fast_direct": build_fast_direct,
    "smp": build_smp,
}


def build_segmenter(
    model: Mapping[str, Any], diffusion: Mapping[str, Any], target: Mapping[str, Any] = MASK
) -> Segmenter:
    """The segmenter of three configuration groups, untrained.

    model: `kind`, looked up in `MODELS` (to which own code can add), and that kind's settings.
    diffusion: see `DiffusionSettings`.
    target: see `segdiff.targets.build.build_target`; how many channels a mask has follows from it.

    Raises:
        ConfigError: an unknown kind or key, or settings that do not go together.
    """
    settings = dict(model)
    kind = settings.pop("kind", None)
    if not isinstance(kind, str) or kind not in MODELS:
        raise ConfigError(f"model.kind={kind} is not known; known: {', '.join(MODELS)}")
    chosen = build_target(target)
    channels = len(chosen.channel_names)
    if channels > 1:  # each kind of network has one by itself
        settings.setdefault("mask_channels", channels)
    segmenter = MODELS[kind](settings, diffusion)
    segmenter.target = chosen
    if channels > 1:
        check_channels(segmenter)
    return segmenter


def check_channels(segmenter: Segmenter) -> None:
    """ConfigError unless the network gives the channels of the target, no more and no fewer."""
    names, kind = segmenter.target.channel_names, segmenter.target.kind
    if segmenter.mask_channels != len(names):
        raise ConfigError(
            f"model.mask_channels={segmenter.mask_channels} does not go with target={kind}, which has {len(names)} "
            f"({', '.join(names)}): leave it out"
        )
