"""Who trains and who validates: recorded with a run, so that it goes on with the same images or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from segdiff.data.datasets import Dataset
from segdiff.errors import ConfigError
from segdiff.training.run_folder import CHECKPOINT, SPLIT

SHOWN = 3  # names in a message
Split = Mapping[str, Sequence[str]]


def split_of(train: Dataset, validation: Dataset | None) -> dict[str, list[str]]:
    """Return the names of the images that train and of those that validate, in their order."""
    return {"train": list(train.names), "val": [] if validation is None else list(validation.names)}


def check_split(folder: Path, split: Split) -> None:
    """Compare a split with the one that a run was begun with, where a run lies in the folder.

    Raises:
        ConfigError: images came, went, or would change sides: the numbers of training samples would mean others, and
            an image that was trained on would validate.
    """
    record = folder / SPLIT
    if not record.exists() or not (folder / CHECKPOINT).exists():
        return
    try:
        old = json.loads(record.read_text(encoding="utf-8"))
        before = {name: part for part in ("train", "val") for name in old[part]}
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{record} is not the split of a run: choose another run.name") from error
    now = {name: part for part, names in split.items() for name in names}
    differences = [
        _listed("new", [name for name in now if name not in before]),
        _listed("gone", [name for name in before if name not in now]),
        _listed("from training to validation", _moved(before, now, "val")),
        _listed("from validation to training", _moved(before, now, "train")),
    ]
    if said := "; ".join(one for one in differences if one):
        raise ConfigError(
            f"the images are not those that {folder} was begun with ({said}): restore them ({SPLIT} there has their "
            "names), or choose another run.name (trainer.init_from goes on from the model)"
        )


def _moved(before: Mapping[str, str], now: Mapping[str, str], part: str) -> list[str]:
    return [name for name, now_in in now.items() if now_in == part and before.get(name, part) != part]


def _listed(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{what}: {', '.join(sorted(names)[:SHOWN])}{more}"
