"""The settings of training, checked before anything is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class OptimizerSettings:
    """AdamW and its learning rate.

    Args:
        lr: the highest learning rate.
        weight_decay, betas: of AdamW.
        warmup_steps: the rate grows linearly over so many steps.
        decay: "constant" (as published) or "cosine" (to 0 at the last step).
        clip_norm: gradients are scaled down to this norm; null for none (as published).
    """

    lr: float = 1e-4
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    warmup_steps: int = 0
    decay: str = "constant"
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise ConfigError(f"optimizer.lr={self.lr}: it must be greater than 0")
        if self.decay not in ("constant", "cosine"):
            raise ConfigError(f"optimizer.decay={self.decay} is not known; known: constant, cosine")
        object.__setattr__(self, "betas", tuple(self.betas))


@dataclass(frozen=True)
class TrainerSettings:
    """How long and how.

    Args:
        max_steps: length of the training and of its learning-rate schedule.
        max_epochs: the same in passes over the images; the smaller of the two counts.
        max_minutes: ends this call, saved; `resume=auto` goes on.
        patience: stop after so many validations without a better Dice; null never.
        batch_size: samples in a step.
        workers: processes that prepare samples; 0 prepares them in this one.
        precision: auto | bf16 | float32.
        channels_last: auto | true | false; auto is true on GPUs (the one place where backward is not slower for it).
        ema: highest decay of the moving average of the weights; it warms up as (1 + step) / (10 + step).
        log_every: steps between rows of metrics.csv and plain lines.
        validate_every: steps between validations; 0 for none but the last.
        validation_images: validate on the first so many images of the split only; null for all.
        validation: sampling of these validations; the last one uses the model's own.
        final_evaluation: score the best weights with the model's own sampling at the end.
        panels: pictures of so many validation images.
        threads: of the processor; null leaves PyTorch's choice.
    """

    max_steps: int = 1000
    max_epochs: int | None = None
    max_minutes: float | None = None
    patience: int | None = None
    batch_size: int = 8
    workers: int = 0
    precision: str = "auto"
    channels_last: str | bool = "auto"
    ema: float = 0.999
    log_every: int = 20
    validate_every: int = 500
    validation_images: int | None = None
    validation: Sampling = field(default_factory=lambda: Sampling("ddim", steps=5, chains=2, clip=True))
    final_evaluation: bool = True
    panels: int = 4
    threads: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_steps", "batch_size", "log_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"trainer.{name}={getattr(self, name)}: at least 1 is needed")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"trainer.ema={self.ema}: it lies in [0, 1)")
        if self.channels_last not in ("auto", True, False):
            raise ConfigError(f"trainer.channels_last={self.channels_last} is not known; use auto, true or false")


def read_settings(kind: type[T], group: str, given: Mapping[str, Any]) -> T:
    """The dataclass of a configuration group.

    Raises:
        ConfigError: a key that is not known, or a value that cannot be.
    """
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    for key in given:
        if key not in known:
            raise ConfigError(f"{group}.{key} is not known; known: {', '.join(known)}")
    values = dict(given)
    if kind is TrainerSettings and isinstance(values.get("validation"), Mapping):
        values["validation"] = read_settings(Sampling, f"{group}.validation", values["validation"])
    hints = get_type_hints(kind)
    for key, value in values.items():
        _check_type(f"{group}.{key}", value, hints[key])
    return kind(**values)


def _check_type(name: str, value: Any, hint: Any) -> None:
    """ConfigError unless the value has one of the types of a hint such as `int | None` or `Sequence[float] | None`."""
    union = get_origin(hint) in (Union, UnionType)
    types = [get_origin(h) or h for h in (get_args(hint) if union else (hint,))]
    if float in types:
        types.append(int)
    if tuple in types:
        types.append(list)
    if isinstance(value, bool) and bool not in types or not isinstance(value, tuple(types)):
        wanted = " or ".join("null" if t is type(None) else t.__name__.lower() for t in types)
        raise ConfigError(f"{name}={value}: expected {wanted}")


def total_steps(settings: TrainerSettings, images: int) -> int:
    """Steps of the whole training: `max_steps`, or fewer where `max_epochs` says so."""
    if settings.max_epochs is None:
        return settings.max_steps
    return min(settings.max_steps, max(1, -(-settings.max_epochs * images // settings.batch_size)))


def learning_rate(settings: OptimizerSettings, step: int, steps: int) -> float:
    """The learning rate of step `step` of `steps`, a pure function of both."""
    warm = min(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    if settings.decay == "constant":
        return settings.lr * warm
    done = max(0.0, step - settings.warmup_steps) / max(1, steps - settings.warmup_steps)
    return settings.lr * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
