"""The settings of training, checked before anything is read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError
from segdiff.models.device import PRECISIONS


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
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"optimizer.betas={list(self.betas)}: two numbers in [0, 1) are needed")
        if self.warmup_steps < 0 or self.weight_decay < 0:
            raise ConfigError("optimizer.warmup_steps and optimizer.weight_decay must be 0 or more")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ConfigError(f"optimizer.clip_norm={self.clip_norm}: it must be greater than 0, or null for none")
        object.__setattr__(self, "betas", tuple(self.betas))


@dataclass(frozen=True)
class TrainerSettings:
    """How long and how.

    Args:
        max_steps: length of the training and of its learning-rate schedule.
        max_epochs: the same in passes over the images; given, it takes the place of max_steps.
        max_minutes: ends this call, saved; `resume=auto` goes on.
        patience: stop after so many validations without a better Dice; null never.
        batch_size: samples in a step.
        workers: processes that prepare samples; 0 prepares them in this one.
        precision: auto | bf16 | float32.
        channels_last: auto | true | false; auto is true on GPUs (on CPUs a step of training gains nothing by it).
        ema: highest decay of the moving average of the weights; it warms up as (1 + step) / (10 + step).
        log_every: steps between rows of metrics.csv.
        validate_every: steps between validations; 0 for none but the last.
        validation_images: validate on the first so many images of the split only; null for all.
        validation: sampling of these validations; the last one uses the model's own.
        final_evaluation: score the best weights with the model's own sampling at the end.
        calibrate: fit temperature and threshold on the validation images at the end; they are stored in the model.
        panels: pictures of so many validation images.
        threads: of the processor; null leaves PyTorch's choice.
        init_from: a model whose weights to go on from: a folder, a name, or "owner/name" on the hub; null for none.
        encoder_weights: pretrained weights of an encoder of segmentation-models-pytorch, as that library names them
            ("imagenet"); null for random ones.
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
    calibrate: bool = True
    panels: int = 4
    threads: int | None = None
    init_from: str | None = None
    encoder_weights: str | None = None

    def __post_init__(self) -> None:
        at_least = {"max_steps": 1, "batch_size": 1, "log_every": 1, "max_epochs": 1, "patience": 1, "threads": 1}
        at_least |= {"validation_images": 1, "validate_every": 0, "workers": 0, "max_minutes": 0, "panels": 0}
        at_most = {"batch_size": 65536, "workers": 1024, "threads": 1024}  # beyond is a slip that costs the machine
        for name, least in at_least.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"trainer.{name}={value}: at least {least} is needed")
            if value is not None and value > at_most.get(name, value):
                raise ConfigError(f"trainer.{name}={value}: at most {at_most[name]} is possible")
        if self.init_from is not None and self.encoder_weights is not None:
            raise ConfigError("give trainer.init_from or trainer.encoder_weights, not both: one would undo the other")
        if self.precision not in PRECISIONS:
            raise ConfigError(f"trainer.precision={self.precision} is not known; known: {', '.join(PRECISIONS)}")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"trainer.ema={self.ema}: it lies in [0, 1)")
        if self.channels_last not in ("auto", True, False):
            raise ConfigError(f"trainer.channels_last={self.channels_last} is not known; use auto, true or false")


def total_steps(settings: TrainerSettings, images: int) -> int:
    """Steps of the whole training: as many as `max_epochs` passes need where that is given, else `max_steps`."""
    if settings.max_epochs is None:
        return settings.max_steps
    return max(1, -(-settings.max_epochs * images // settings.batch_size))


def learning_rate(settings: OptimizerSettings, step: int, steps: int) -> float:
    """The learning rate of step `step` of `steps`, a pure function of both."""
    warm = min(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    if settings.decay == "constant":
        return settings.lr * warm
    done = max(0.0, step - settings.warmup_steps) / max(1, steps - settings.warmup_steps)
    return settings.lr * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
