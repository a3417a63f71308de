"""Data sets by kind: one table, to which a user's own code may add."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from segdiff.data.datasets.base import Dataset, Sample
from segdiff.data.datasets.cityscapes import Cityscapes
from segdiff.data.datasets.folder import Folder
from segdiff.data.datasets.lidc import Lidc
from segdiff.data.datasets.monuseg import Monuseg
from segdiff.data.datasets.vaihingen import Vaihingen
from segdiff.errors import ConfigError

__all__ = ["DATASETS", "Dataset", "Sample", "build_dataset", "dataset_from_config"]

# kind -> builder(root, split, **options)
DATASETS: dict[str, Callable[..., Dataset]] = {
    "cityscapes": Cityscapes,
    "folder": Folder,
    "lidc": Lidc,
    "monuseg": Monuseg,
    "vaihingen": Vaihingen,
}

# Keys of conf/dataset/*.yaml that are not for the builder: how samples are prepared and normalised.
_NOT_OPTIONS = ("kind", "root", "protocol", "normalisation")


def build_dataset(kind: str, root: str | Path, split: str, **options: Any) -> Dataset:
    """Build a split of a data set.

    Args:
        kind: a key of `DATASETS`.
        root: the data set's folder.
        split: "train", "val", "test" or "all" (train + val).
        options: the builder's own, as in `conf/dataset/<kind>.yaml`.
    Raises:
        ConfigError: an unknown kind, split or option.
        MissingError, DataError: files that are not there or do not fit together.
    """
    if kind not in DATASETS:
        raise ConfigError(f"no data set of kind {kind!r}; there are {', '.join(sorted(DATASETS))}")
    builder = DATASETS[kind]
    try:
        inspect.signature(builder).bind(root, split, **options)
    except TypeError:
        raise _unknown(kind, builder, options) from None
    if getattr(builder, "Options", None) is not None and not set(options) <= set(option_names(builder)):
        raise _unknown(kind, builder, options)
    return builder(Path(root).expanduser(), split, **options)


def option_names(builder: Callable[..., Dataset]) -> list[str]:
    """The options that a data set takes: its keyword arguments, and the fields of its `Options` where it has such."""
    chosen = fields(kind) if (kind := getattr(builder, "Options", None)) is not None else ()
    parameters = inspect.signature(builder).parameters.values()
    named = [one.name for one in parameters if one.kind is not one.VAR_KEYWORD and one.name not in ("root", "split")]
    return [one.name for one in chosen] + named


def _unknown(kind: str, builder: Callable[..., Dataset], options: Mapping[str, Any]) -> ConfigError:
    known = ", ".join(option_names(builder))
    return ConfigError(f"data set {kind!r} takes the options {known}, not {', '.join(options)}")


def dataset_from_config(config: Mapping[str, Any], split: str) -> Dataset:
    """`build_dataset` for a choice of `conf/dataset/`; `protocol` and `normalisation` are left to others."""
    options = {key: value for key, value in config.items() if key not in _NOT_OPTIONS}
    return build_dataset(config["kind"], config["root"], split, **options)
