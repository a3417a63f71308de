"""What is wrong with the overrides of a training, in one line with the names that exist, the nearest first."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from segdiff.training.configs import compose_keys, conf_folder


def explain(error: Exception, overrides: Sequence[str]) -> str:
    """A line about an error of Hydra or OmegaConf that these overrides caused."""
    text = " ".join(str(error).split())
    text = re.sub(r" ?See https://hydra\.cc\S* for details", "", text.partition(" Config search path:")[0])
    missing = re.search(r"Could not (?:find|load) '([\w./-]+)/([^/']+)'", text)
    if missing:
        group, choice = missing.groups()
        known = getattr(error, "options", None) or [path.stem for path in (conf_folder() / group).glob("*.yaml")]
        return f"{group}={choice} is not known; known: {_nearest(choice, known)}"
    unknown = re.search(r"Could not override '([\w./]+)'", text)
    if unknown:
        return _unknown_key(unknown.group(1), overrides)
    override = getattr(error, "override", None)
    return f"{override} cannot be read: {text}" if override else text


def _unknown_key(key: str, overrides: Sequence[str]) -> str:
    """Of a dotted key: the names where it was first wrong, under the choices of groups that were made."""
    groups = {path.name for path in conf_folder().iterdir() if path.is_dir()}
    chosen = [o.partition(",")[0] for o in overrides if o.partition("=")[0] in groups and "[" not in o]
    node: Any = compose_keys(chosen)
    parts, depth = key.split("."), 0
    while depth < len(parts) - 1 and isinstance(node, dict) and parts[depth] in node:
        node = node[parts[depth]]
        depth += 1
    said = ".".join(parts[: depth + 1])
    if not isinstance(node, dict) or not node:
        return f"{said} is not known"
    return f"{said} is not known; known: {_nearest(parts[depth], [*node, *(() if depth else ['experiment'])])}"


def _nearest(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    return ", ".join(difflib.get_close_matches(name, names, n=max(len(names), 1), cutoff=0))
