"""Which run it is: what of a configuration decides the weights, and whether a folder holds this run already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from segdiff.data.augment import Settings as AugmentationSettings
from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError
from segdiff.inference.options import InferenceSettings
from segdiff.models.denoising import DiffusionSettings
from segdiff.settings import differences
from segdiff.training.former_names import rename_settings
from segdiff.training.run_folder import CHECKPOINT, CONFIG
from segdiff.training.settings import OptimizerSettings, TrainerSettings

# What says where and how long a run is, and what its objects are called, not which run it is.
# Another number of threads changes the last bits.
NOT_IDENTITY = ("device", "run", "resume", "tracking")
NOT_IDENTITY_IN = {
    "trainer": ("workers", "max_minutes", "threads"),
    "dataset": ("root", "cache_dir"),
    "inference": ("class_name",),
}
SHOWN = 3  # differences in a message
# A setting that came after a run was begun has its default there, which is what was done before there was the setting.
DEFAULTS: dict[str, Any] = {
    "diffusion": DiffusionSettings(),
    "augmentation": AugmentationSettings(),
    "optimizer": OptimizerSettings(),
    "trainer": TrainerSettings(),
    "sampling": Sampling(),
    "inference": InferenceSettings(),
}


def run_identity(config: Mapping[str, Any]) -> str:
    """Hash a configuration less what only says where and how long it runs."""
    return hashlib.sha256(json.dumps(_deciding(config), sort_keys=True).encode()).hexdigest()[:16]


def recorded_config(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration under which a training is recorded in its folder.

    It is the given one; where it goes on with a run that lies there, what decides that run's weights stays as it was
    recorded, and so does the run's identity: settings that have been renamed or added since are no other settings.
    A folder without a checkpoint holds nothing to lose.

    Raises:
        ConfigError: the folder holds a run and `resume` is not auto, or a run with other settings.
    """
    record = folder / CONFIG
    if not record.exists() or not (folder / CHECKPOINT).exists():
        return dict(config)
    if config.get("resume") != "auto":
        raise ConfigError(
            f"{folder} holds a run: resume=auto goes on with it, another run.name (in Python: folder) starts another"
        )
    try:
        old = yaml.safe_load(record.read_text(encoding="utf-8"))
        changed = list(differences(_comparable(old), _comparable(config)))
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{record} is not the configuration of a run: choose another run.name") from error
    if changed:
        more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        raise ConfigError(
            f"{folder} holds a run with other settings ({', '.join(changed[:SHOWN])}{more}): choose another run.name"
        )
    return _with_deciding(config, old)


def _deciding(config: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in config.items() if key not in NOT_IDENTITY}
    for group, less in NOT_IDENTITY_IN.items():
        kept[group] = {key: value for key, value in config.get(group, {}).items() if key not in less}
    return kept


def _with_deciding(config: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """Take what decides from `old` and the rest from `config`."""
    kept = _deciding(old)
    for group, others in NOT_IDENTITY_IN.items():
        kept[group] |= {key: value for key, value in config[group].items() if key in others}
    return {**kept, **{key: value for key, value in config.items() if key in NOT_IDENTITY}}


def _comparable(config: Mapping[str, Any]) -> dict[str, Any]:
    """What decides, under today's names, with the defaults of what is not given; lists for tuples."""
    deciding = _deciding(rename_settings(config))
    for group, defaults in DEFAULTS.items():
        given = deciding.get(group, {})
        deciding[group] = {**given, **{k: v for k, v in asdict(defaults).items() if k not in given}}
    return _deciding(json.loads(json.dumps(deciding)))
