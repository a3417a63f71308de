"""Configurations by Hydra: where they lie, composed outside of a training, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omegaconf import DictConfig


def conf_folder() -> Path:
    """The folder of configurations: in the package once installed, at the top of a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def compose(overrides: Sequence[str]) -> dict[str, Any]:
    """What `segdiff train` with these overrides would use, as plain values; a run is called "unnamed".

    Raises:
        ConfigError: a name that is not known, or a value that must be given and is not.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from segdiff.errors import ConfigError
    from segdiff.training.explain import explain

    try:
        return to_plain(_compose(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(error, overrides)) from error


def compose_keys(overrides: Sequence[str]) -> dict[str, Any]:
    """All keys that a training with these overrides has; what must be given may be missing, nothing is resolved."""
    from omegaconf import OmegaConf

    plain = OmegaConf.to_container(_compose(overrides), resolve=False)
    assert isinstance(plain, dict)
    return {str(k): v for k, v in plain.items()}


def _compose(overrides: Sequence[str]) -> DictConfig:
    import hydra

    with hydra.initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return hydra.compose("config", ["run.name=unnamed", *overrides])  # the usual name needs a running Hydra


def to_plain(config: DictConfig) -> dict[str, Any]:
    """Plain values of a composed configuration.

    Raises:
        ConfigError: a value that must be given and is not.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

    from segdiff.errors import ConfigError

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
