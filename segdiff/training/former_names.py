"""Settings that have moved and choices that are called otherwise: former names are read for good, with a note."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from segdiff.artifacts.formats import TARGET_OF_CHANNELS, target_of_channels, to_targets
from segdiff.errors import ConfigError
from segdiff.settings import ABSENT

# What decides the weights that a training starts from belongs to the training, not to the network.
MOVED = {"model.init": "trainer.init_from", "model.encoder_weights": "trainer.encoder_weights"}
# What the paper did is called published in every group; `paper` is a protocol of scoring.
CHOICES = {
    "augmentation": {f"paper{suffix}": f"published{suffix}" for suffix in ("", "_small", "_vaihingen", "_cityscapes")}
}
# Mask channels are those of a target.
CHANNELS, MASK_CHANNELS = "inference.channels", "model.mask_channels"
_OVERRIDE = re.compile(r"(?P<change>\+{0,2}|~)(?P<key>[\w.]+)(?P<value>=.*)?", re.DOTALL)


def note_on_stderr(text: str) -> None:
    """Print a note beside whatever a command prints to standard output."""
    print(f"note: {text}", file=sys.stderr)


def rename_overrides(overrides: Sequence[str], note: Callable[[str], None] = note_on_stderr) -> list[str]:
    """Rename what bears a former name in overrides such as `model.init=nuclei`; all else is left as it is.

    Args:
        overrides: as on the command line, options such as `-m` among them.
        note: takes a line for each former name.
    """
    renamed = []
    for override in overrides:
        parts = _OVERRIDE.fullmatch(override)
        if parts is None:
            renamed.append(override)
            continue
        if parts["key"] in (CHANNELS, MASK_CHANNELS) and parts["value"]:
            renamed.append(_of_target(parts["key"], parts["value"], note))
            continue
        change, key, value = parts["change"], parts["key"], parts["value"] or ""
        if key in MOVED:
            note(_moved(key))
        chosen = value[1:].split(",")  # several in a sweep
        for former in (one for one in chosen if one in CHOICES.get(key, {})):
            note(f"{key}={former} is now {key}={CHOICES[key][former]}")
        value = value[:1] + ",".join(CHOICES.get(key, {}).get(one, one) for one in chosen)
        renamed.append(f"{change}{MOVED.get(key, key)}{value}")
    return renamed


def rename_settings(config: Mapping[str, Any], note: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Move the settings of a configuration of plain values to where they are now.

    Args:
        config: of groups, each a mapping; those that have nothing to move are not copied.
        note: takes a line for each setting that was given (is not null) under its former name.
    Raises:
        ConfigError: a setting that is given under both names, with different values.
    """
    renamed = _with_target(config)
    for former, now in MOVED.items():
        (old_group, old_key), (group, key) = former.split("."), now.split(".")
        if not isinstance(renamed.get(old_group), Mapping) or old_key not in renamed[old_group]:
            continue
        renamed[old_group] = dict(renamed[old_group])
        value = renamed[old_group].pop(old_key)
        if value is None:
            continue
        present = (renamed.get(group) or {}).get(key)
        if present not in (None, value):
            raise ConfigError(f"{former}={value} and {now}={present}: these are one setting; give {now} alone")
        renamed[group] = {**(renamed.get(group) or {}), key: value}
        if note is not None:
            note(_moved(former))
    return renamed


def _of_target(key: str, value: str, note: Callable[[str], None]) -> str:
    """The override for one that named or counted mask channels; a number of them is checked when all is composed."""
    if key == MASK_CHANNELS:
        note(f"{key} follows from target: leave it out")
        return f"++{key}{value}"
    names = [name.strip(" '\"") for name in value[1:].strip(" []").split(",")]
    kind = target_of_channels(names)["kind"]
    note(f"{key}{value} is now target={kind}")
    return f"target={kind}"


def _with_target(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with a target, where it is of before there were targets, or counts the channels of its own."""
    groups = [config.get(group) for group in ("model", "inference")]
    if not all(isinstance(group, Mapping) for group in groups):
        return dict(config)
    if "target" not in config or "channels" in config["inference"]:
        return to_targets(config)
    channels = {kind: len(names) for names, kind in TARGET_OF_CHANNELS.items()}
    model = dict(config["model"])
    if model.get("mask_channels") == channels.get(str(config["target"].get("kind")), ABSENT):
        del model["mask_channels"]
    return {**config, "model": model}


def _moved(former: str) -> str:
    return f"{former} is now {MOVED[former]}"
