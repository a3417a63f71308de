"""From a configuration to a segmenter, by one explicit table."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from segdiff.diffusion.schedules import build_schedule
from segdiff.errors import ConfigError
from segdiff.models.segdiff import SegDiff, SegDiffConfig
from segdiff.models.segmenter import DiffusionSegmenter, Segmenter
from segdiff.settings import read_settings

Builder = Callable[[Mapping[str, Any], Mapping[str, Any]], Segmenter]


@dataclass(frozen=True)
class DiffusionSettings:
    """A choice of `conf/diffusion/`.

    Args:
        schedule, steps, signal_scale: see `segdiff.diffusion.schedules.build_schedule`.
        prediction: what the network says: epsilon, x_0 or v.
        rescale_times: the network is told t * 1000 / steps instead of t.
        dice_weight: of a soft Dice loss on x_0 beside the mean squared error.
    """

    schedule: str = "linear"
    steps: int = 100
    signal_scale: float = 1.0
    prediction: str = "epsilon"
    rescale_times: bool = False
    dice_weight: float = 0.0

    def __post_init__(self) -> None:
        if self.dice_weight < 0:
            raise ConfigError(f"diffusion.dice_weight={self.dice_weight}: it must be 0 or more")


def build_segdiff(model: Mapping[str, Any], diffusion: Mapping[str, Any]) -> Segmenter:
    """The paper's network with a diffusion."""
    config = read_settings(SegDiffConfig, "model", model)
    settings = read_settings(DiffusionSettings, "diffusion", diffusion)
    schedule = build_schedule(settings.schedule, settings.steps, settings.signal_scale)
    with torch.device("meta"):  # counted before any of it takes memory
        check_memory(SegDiff(config))
    return DiffusionSegmenter(
        SegDiff(config),
        schedule,
        image_channels=config.image_channels,
        mask_channels=config.mask_channels,
        prediction=settings.prediction,
        learned_variance=config.learned_variance,
        time_scale=1000 / schedule.steps if settings.rescale_times else 1.0,
        dice_weight=settings.dice_weight,
    )


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


MODELS: dict[str, Builder] = {"segdiff": build_segdiff}


def build_segmenter(model: Mapping[str, Any], diffusion: Mapping[str, Any]) -> Segmenter:
    """The segmenter of two configuration groups, untrained.

    model: `kind`, looked up in `MODELS` (to which own code can add), and that kind's settings.
    diffusion: see `DiffusionSettings`.

    Raises:
        ConfigError: an unknown kind or key, or settings that do not go together.
    """
    settings = dict(model)
    kind = settings.pop("kind", None)
    if not isinstance(kind, str) or kind not in MODELS:
        raise ConfigError(f"model.kind={kind} is not known; known: {', '.join(MODELS)}")
    return MODELS[kind](settings, diffusion)
