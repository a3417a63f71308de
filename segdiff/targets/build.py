"""From a configuration to a target, by one explicit table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segdiff.errors import ConfigError
from segdiff.settings import plain, read_settings
from segdiff.targets.base import Target
from segdiff.targets.instances import InstancesTarget
from segdiff.targets.mask import MaskTarget

TARGETS: dict[str, type[Target]] = {
    "mask": MaskTarget,
    "instances": InstancesTarget,
}


def build_target(settings: Mapping[str, Any]) -> Target:
    """Build the target of a configuration group.

    Args:
        settings: `kind`, looked up in `TARGETS` (to which own code can add), and that kind's settings.
    Raises:
        ConfigError: an unknown kind or key, or a value that cannot be.
    """
    rest = dict(settings)
    kind = rest.pop("kind", None)
    if not isinstance(kind, str) or kind not in TARGETS:
        raise ConfigError(f"target.kind={kind} is not known; known: {', '.join(TARGETS)}")
    return read_settings(TARGETS[kind], "target", rest)


def target_settings(target: Target) -> dict[str, Any]:
    """Return the plain settings of which `build_target` makes this target again."""
    return {"kind": target.kind, **plain(target)}
