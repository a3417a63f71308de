"""Everything that a training may be told, with types: the groups and keys of `conf/config.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError
from segdiff.inference.options import InferenceSettings
from segdiff.settings import read_settings
from segdiff.training.settings import OptimizerSettings, TrainerSettings


@dataclass(frozen=True)
class TrainOptions:
    """What a training is told; `read_options` makes it of plain values.

    Args:
        dataset, model, diffusion, augmentation: groups that choose by their `kind` or are checked by who builds of
            them: `dataset_from_config`, `build_segmenter`, `build_augmentation`.
        optimizer, trainer: of the training.
        sampling, inference: stored in the model; how it predicts unless told otherwise.
        target: what is predicted (`segdiff.targets.build`), likewise chosen by its `kind`.
        seed: with the sample numbers it determines every random number; 0 to 2^63 - 1.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        resume: "auto" goes on with the run in the folder; None refuses a folder that holds one.
        tracking: choices of `segdiff.training.tracking`; None for none.
        run: the run's `name` and the `group` (of a sweep) for people, and the `dir` that the command line gave.
    Raises:
        ConfigError: a value that cannot be.
    """

    dataset: Mapping[str, Any]
    model: Mapping[str, Any]
    diffusion: Mapping[str, Any]
    augmentation: Mapping[str, Any]
    optimizer: OptimizerSettings
    trainer: TrainerSettings
    sampling: Sampling
    inference: InferenceSettings
    seed: int
    target: Mapping[str, Any] = field(default_factory=lambda: {"kind": "mask"})
    device: str = "auto"
    resume: str | None = None
    tracking: Mapping[str, Any] | None = None
    run: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed={self.seed}: a whole number from 0 to 2^63 - 1 is needed")
        if self.resume not in (None, "auto"):
            raise ConfigError(f"resume={self.resume} is not known; known: auto, null")
        for key in ("kind", "root", "protocol", "normalisation"):
            if key not in self.dataset:
                raise ConfigError(f"dataset.{key} must be given")


def read_options(config: Mapping[str, Any]) -> TrainOptions:
    """Read a configuration of plain values, as `conf/` composes it.

    Raises:
        ConfigError: a key that is not known or is missing, or a value that cannot be.
    """
    return read_settings(TrainOptions, "", config)
