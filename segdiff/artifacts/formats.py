"""Formats of a model's `config.yaml`: earlier ones are read for good, and a model written anew keeps its hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segdiff.errors import ConfigError

FORMAT_VERSION = 2
# Format 1 named the mask channels (`inference.channels`) where there is a target now.
TARGET_OF_CHANNELS = {("mask",): "mask", ("mask", "core"): "instances"}
_CHANNELS_OF_TARGET = {kind: list(channels) for channels, kind in TARGET_OF_CHANNELS.items()}


def target_of_channels(channels: Sequence[str]) -> dict[str, Any]:
    """Return the target, as plain settings, that mask channels of these names make.

    Raises:
        ConfigError: they are not the mask, or the mask and the core.
    """
    kind = TARGET_OF_CHANNELS.get(tuple(channels))
    if kind is None:
        raise ConfigError(f"channels={list(channels)}: [mask] or [mask, core] is possible")
    return {"kind": kind}


def to_targets(config: Mapping[str, Any]) -> dict[str, Any]:
    """Put a target in the place of what named and counted the mask channels before there were targets.

    Args:
        config: of a model or of a training, plain values, its groups `model` and `inference` mappings; not changed.
    Raises:
        ConfigError: channels that cannot be.
    """
    model, inference = dict(config["model"]), dict(config["inference"])
    channels = inference.pop("channels", ["mask"])
    if not isinstance(channels, (list, tuple)) or not all(isinstance(name, str) for name in channels):
        raise ConfigError(f"inference.channels={channels}: [mask] or [mask, core] is possible")
    if model.get("mask_channels") == len(channels):
        del model["mask_channels"]
    return {**config, "target": target_of_channels(channels), "model": model, "inference": inference}


def as_hashed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration as its model's hash is made of: as format 1 wrote it, where that could be said in it.

    So a model of format 1 that is written anew is still the one that records, exports and ensembles know.
    """
    kind = config["target"]["kind"] if "target" in config else None
    if kind not in _CHANNELS_OF_TARGET:
        return dict(config)
    rest = {key: value for key, value in config.items() if key != "target"}
    channels = _CHANNELS_OF_TARGET[kind]
    return {
        **rest,
        "format_version": 1,
        "model": {"mask_channels": len(channels), **config["model"]},
        "inference": {**config["inference"], "channels": channels},
    }
