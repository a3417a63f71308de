"""Which run it is: what of a configuration decides the weights, and whether a folder holds this run already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from segdiff.errors import ConfigError
from segdiff.settings import differences

# What says where and how long a run is, and what its objects are called, not which run it is.
# Another number of threads changes the last bits.
NOT_IDENTITY = ("device", "run", "resume", "tracking")
NOT_IDENTITY_IN = {
    "trainer": ("workers", "max_minutes", "threads"),
    "dataset": ("root", "cache_dir"),
    "inference": ("class_name",),
}
SHOWN = 3  # differences in a message


def run_identity(config: Mapping[str, Any]) -> str:
    """Hash of the configuration less what only says where and how long it runs."""
    return hashlib.sha256(json.dumps(_deciding(config), sort_keys=True).encode()).hexdigest()[:16]


def check_folder(folder: Path, config: Mapping[str, Any]) -> None:
    """A folder that holds a run is only gone on with when asked. One without a checkpoint holds nothing to lose.

    Raises:
        ConfigError: it holds a run and `resume` is not auto, or a run with other settings.
    """
    said = folder / "config.yaml"
    if not said.exists() or not (folder / "checkpoints" / "last.pt").exists():
        return
    if config.get("resume") != "auto":
        raise ConfigError(
            f"{folder} holds a run: resume=auto goes on with it, another run.name (in Python: folder) starts another"
        )
    try:
        old = yaml.safe_load(said.read_text(encoding="utf-8"))
        changed = list(differences(_deciding(old), _deciding(config)))
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise ConfigError(f"{said} is not the configuration of a run: choose another run.name") from error
    if changed:
        more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        raise ConfigError(
            f"{folder} holds a run with other settings ({', '.join(changed[:SHOWN])}{more}): choose another run.name"
        )


def _deciding(config: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in config.items() if key not in NOT_IDENTITY}
    for group, less in NOT_IDENTITY_IN.items():
        kept[group] = {key: value for key, value in config[group].items() if key not in less}
    return kept
