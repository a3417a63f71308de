"""Who goes into which part: folds by rank of the name, and a seeded split that never divides a group."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from segdiff.errors import ConfigError, DataError, MissingError

FOLDS = 5  # of cross-validation
SPLITS = ("train", "val", "test", "all")  # all = train + val, never test


def check_split(split: str) -> None:
    """Raise ConfigError for a name that is no split."""
    if split not in SPLITS:
        raise ConfigError(f"no split {split!r}; there are {', '.join(SPLITS)}")


def fold_of(names: Iterable[str], folds: int = 5) -> dict[str, int]:
    """The fold of each name: its rank among the sorted names, modulo the number of folds."""
    if folds < 2:
        raise ConfigError(f"cross-validation needs at least 2 folds, not {folds}")
    return {name: rank % folds for rank, name in enumerate(sorted(names))}


def of_fold(names: Sequence[str], split: str, fold: int | None) -> list[str]:
    """The training names that belong to a split: "val" has one of `FOLDS` folds, "train" the others, else all.

    fold: None: all names are trained on.

    Raises:
        ConfigError: no such fold. DataError: nothing is left. MissingError: "val", and no fold.
    """
    if fold is None:
        if split == "val":
            raise MissingError("fold=null: every image is trained on, none is held out")
        return list(names)
    if fold not in range(FOLDS):
        raise ConfigError(f"fold is {fold}; there are folds 0 to {FOLDS - 1}, and null")
    if split in ("test", "all"):
        return list(names)
    folds = fold_of(names, FOLDS)
    chosen = [name for name in names if (folds[name] == fold) == (split == "val")]
    if not chosen:
        raise DataError(f"{len(names)} training image(s) leave none for the split {split!r}")
    return chosen


def group_folds(names: Sequence[str], groups: Mapping[str, str], folds: int = FOLDS) -> dict[str, int]:
    """The fold of each name, whole groups at a time: the largest group first, each to the fold that has the fewest.

    groups: the group of each name; a name that is not in it is a group of its own. Of equal ones the first by name
    counts.

    Raises:
        DataError: fewer groups than folds.
    """
    members = _members(sorted(names), groups)
    if len(members) < folds:
        raise DataError(f"{len(names)} images in {len(members)} group(s) cannot be divided into {folds} folds")
    sizes, found = [0] * folds, {}
    for group in sorted(members, key=lambda group: (-len(members[group]), group)):
        fold = sizes.index(min(sizes))
        sizes[fold] += len(members[group])
        found.update(dict.fromkeys(members[group], fold))
    return found


def seeded_split(
    names: Sequence[str], groups: Mapping[str, str] | None, fraction: float, seed: int
) -> tuple[list[str], list[str]]:
    """Divide names into a larger and a smaller part, whole groups at a time.

    Groups are visited in the order of a hash of (seed, group), which no library version and no other group
    changes; each goes to the smaller part if that brings its size nearer to `fraction`.

    Args:
        names: all different.
        groups: the group of each name; None or a name that is not in it: a group of its own.
        fraction: of the names that the smaller part should hold, between 0 and 1.
        seed: any integer.
    Returns:
        (larger, smaller), both sorted, together all names, neither empty.
    Raises:
        ConfigError: a fraction outside (0, 1).
        DataError: fewer than two groups: nothing to divide.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"val_fraction is {fraction}; it must lie between 0 and 1")
    members = _members(names, groups)
    if len(members) < 2:
        raise DataError(
            f"{len(names)} image(s) in {len(members)} group(s) cannot be divided into two parts; "
            "val_fraction=0 trains on all, without validation"
        )
    order = sorted(members, key=lambda key: hashlib.sha256(f"{seed}/{key[0]}/{key[1]}".encode()).digest())
    target = fraction * len(names)
    chosen: list[str] = []
    for key in order:
        size = len(members[key])
        if abs(len(chosen) + size - target) < abs(len(chosen) - target):
            chosen += members[key]
    if not chosen:  # a few large groups: the smallest one is the nearest that can be had
        chosen = list(members[min(order, key=lambda key: len(members[key]))])
    smaller = set(chosen)
    if len(smaller) == len(names):
        smaller -= set(members[order[-1]])
    return sorted(set(names) - smaller), sorted(smaller)


def _members(names: Sequence[str], groups: Mapping[str, str] | None) -> dict[tuple[str, str], list[str]]:
    """The names of each group; a name without one is a group of its own."""
    members: dict[tuple[str, str], list[str]] = {}
    for name in names:  # the first entry keeps a name apart from a group that is called the same
        key = ("group", groups[name]) if groups and name in groups else ("name", name)
        members.setdefault(key, []).append(name)
    return members
