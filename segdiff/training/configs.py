"""Configurations by Hydra: where they lie, composed to plain values, and what is wrong with overrides."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segdiff.errors import ConfigError
from segdiff.training.former_names import note_on_stderr, rename_overrides

if TYPE_CHECKING:
    from omegaconf import DictConfig

PATHS = ("dataset.root", "dataset.cache_dir", "run.dir", "trainer.init_from")  # settings that are paths


def conf_folder() -> Path:
    """Return the folder of configurations: in the package once installed, at the top of a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def compose(overrides: Sequence[str], note: Callable[[str], None] = note_on_stderr) -> dict[str, Any]:
    """Compose what `segdiff train` with these overrides would use, as plain values; a run is called "unnamed".

    Args:
        overrides: as on the command line; former names of settings are taken, too.
        note: takes a line for each of these.
    Raises:
        ConfigError: a name that is not known, or a value that must be given and is not.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    overrides = quote_paths(rename_overrides(overrides, note))
    try:
        return to_plain(_compose(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise explained(error, overrides) from error


def to_plain(config: DictConfig) -> dict[str, Any]:
    """Resolve a composed configuration to plain values.

    Raises:
        ConfigError: a value that must be given and is not.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or "a value"
        if isinstance(error, MissingMandatoryValue):
            raise ConfigError(f"{key} must be given, as in {key}=...") from error
        raise ConfigError(f"{key} cannot be resolved: {str(error).splitlines()[0]}") from error
    assert isinstance(plain, dict)
    plain.pop("experiment", None)
    return {str(k): v for k, v in plain.items()}


def quote_paths(overrides: Sequence[str]) -> list[str]:
    """Quote, for Hydra, the paths in overrides that exist as they were typed; all else is left as it is.

    Brackets, "=", ";", commas and quotes mean something in its grammar, and names of folders have them. "~" is the
    user's home.
    """
    quoted = []
    for override in overrides:
        key, equals, value = override.partition("=")
        if equals and key in PATHS:
            path = os.path.expanduser(value)  # noqa: PTH111  Path would tidy what was typed
            if (path != value or re.search(r"[^\w./:+%@-]", path)) and Path(path).exists():
                # Hydra takes a backslash for one, unless it stands before a quote.
                value = '"' + re.sub(r'(\\*)("|$)', lambda m: m[1] * 2 + ('\\"' if m[2] else ""), path) + '"'
        quoted.append(f"{key}{equals}{value}")
    return quoted


def explained(error: Exception, overrides: Sequence[str]) -> ConfigError:
    """Put an error of Hydra or OmegaConf that these overrides caused into a line with the nearest names that exist."""
    text = " ".join(str(error).split())
    text = re.sub(r" ?See https://hydra\.cc\S* for details", "", text.partition(" Config search path:")[0])
    missing = re.search(r"Could not (?:find|load) '([\w./-]+)/([^/']+)'", text)
    if missing:
        group, choice = missing.groups()
        known = getattr(error, "options", None) or [path.stem for path in (conf_folder() / group).glob("*.yaml")]
        return ConfigError(f"{group}={choice} is not known; known: {_nearest(choice, known)}")
    unknown = re.search(r"Could not override '([\w./]+)'", text)
    if unknown:
        return ConfigError(_unknown_key(unknown.group(1), overrides))
    override = getattr(error, "override", None)
    if ambiguous := re.match(r"Ambiguous value for argument '(.*?)' 1\. ", text):
        key, _, value = ambiguous[1].partition("=")
        return ConfigError(
            f"{ambiguous[1]} has a comma: a list is '{key}=[{value}]', in quotes it is taken as it is: "
            f"'{key}=\"{value}\"', and -m begins a training of each"
        )
    if override is None:
        return ConfigError(text)
    key, _, value = str(override).partition("=")
    hint = f"; in quotes it is taken as it is: '{key}=\"{value}\"'" if value and '"' not in value else ""
    return ConfigError(f"{override} cannot be read: {text}{hint}")


def _compose(overrides: Sequence[str]) -> DictConfig:
    import hydra

    with hydra.initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return hydra.compose("config", ["run.name=unnamed", *overrides])  # the usual name needs a running Hydra


def _unknown_key(key: str, overrides: Sequence[str]) -> str:
    """Say where a dotted key was first wrong, and the names there, under the choices of groups that were made."""
    from omegaconf import OmegaConf

    groups = {path.name for path in conf_folder().iterdir() if path.is_dir()}
    chosen = [o.partition(",")[0] for o in overrides if o.partition("=")[0] in groups and "[" not in o]
    node: Any = OmegaConf.to_container(_compose(chosen), resolve=False)  # what must be given may be missing
    parts, depth = key.split("."), 0
    while depth < len(parts) - 1 and isinstance(node, dict) and parts[depth] in node:
        node = node[parts[depth]]
        depth += 1
    wrong = ".".join(parts[: depth + 1])
    if not isinstance(node, dict) or not node:
        return f"{wrong} is not known"
    known = map(str, [*node, *(() if depth else ["experiment"])])
    return f"{wrong} is not known; known: {_nearest(parts[depth], known)}"


def _nearest(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    return ", ".join(difflib.get_close_matches(name, names, n=max(len(names), 1), cutoff=0))
