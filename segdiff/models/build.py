"""From a configuration to a segmenter, by one explicit table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

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
    if kind not in MODELS:
        raise ConfigError(f"model.kind={kind} is not known; known: {', '.join(MODELS)}")
    return MODELS[kind](settings, diffusion)
