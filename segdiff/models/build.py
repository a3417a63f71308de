"""From a configuration to a segmenter, by one explicit table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from segdiff.diffusion.schedules import build_schedule
from segdiff.errors import ConfigError
from segdiff.models.segdiff import SegDiff, SegDiffConfig
from segdiff.models.segmenter import DiffusionSegmenter, Segmenter

Builder = Callable[[Mapping[str, Any], Mapping[str, Any]], Segmenter]

DIFFUSION_KEYS = ("schedule", "steps", "signal_scale", "prediction", "rescale_times", "dice_weight")


def build_segdiff(model: Mapping[str, Any], diffusion: Mapping[str, Any]) -> Segmenter:
    """The paper's network with a diffusion."""
    _check_keys("model", model, [field.name for field in fields(SegDiffConfig)])
    _check_keys("diffusion", diffusion, DIFFUSION_KEYS)
    config = SegDiffConfig(**model)
    schedule = build_schedule(
        diffusion.get("schedule", "linear"), diffusion.get("steps", 100), diffusion.get("signal_scale", 1.0)
    )
    return DiffusionSegmenter(
        SegDiff(config),
        schedule,
        image_channels=config.image_channels,
        mask_channels=config.mask_channels,
        prediction=diffusion.get("prediction", "epsilon"),
        learned_variance=config.learned_variance,
        time_scale=1000 / schedule.steps if diffusion.get("rescale_times", False) else 1.0,
        dice_weight=diffusion.get("dice_weight", 0.0),
    )


MODELS: dict[str, Builder] = {"segdiff": build_segdiff}


def build_segmenter(model: Mapping[str, Any], diffusion: Mapping[str, Any]) -> Segmenter:
    """The segmenter of two configuration groups, untrained.

    model: `kind`, looked up in `MODELS` (to which own code can add), and that kind's settings.
    diffusion: schedule, steps, signal_scale, prediction, rescale_times, dice_weight.

    Raises:
        ConfigError: an unknown kind or key, or settings that do not go together.
    """
    settings = dict(model)
    kind = settings.pop("kind", None)
    if kind not in MODELS:
        raise ConfigError(f"model.kind={kind} is not known; known: {', '.join(MODELS)}")
    return MODELS[kind](settings, diffusion)


def _check_keys(group: str, given: Mapping[str, Any], known: list[str] | tuple[str, ...]) -> None:
    unknown = [key for key in given if key not in known]
    if unknown:
        raise ConfigError(f"{group}.{unknown[0]} is not known; known: {', '.join(known)}")
