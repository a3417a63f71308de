"""Folds by rank, and the seeded split that keeps groups whole."""

from __future__ import annotations

import pytest

from segdiff.data.splits import fold_of, group_folds, seeded_split
from segdiff.errors import ConfigError, DataError

NAMES = [f"image{i:03d}" for i in range(100)]


def test_the_fold_is_the_rank_of_the_sorted_name_modulo_five():
    folds = fold_of(["d", "a", "f", "c", "b", "e"])
    assert folds == {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4, "f": 0}


def test_a_split_is_a_partition_of_the_wanted_size():
    train, val = seeded_split(NAMES, None, 0.2, seed=0)
    assert len(val) == 20 and sorted(train + val) == NAMES


def test_a_split_depends_on_the_seed_and_not_on_the_order_of_names():
    first = seeded_split(NAMES, None, 0.2, seed=0)
    assert seeded_split(NAMES[::-1], None, 0.2, seed=0) == first
    assert seeded_split(NAMES, None, 0.2, seed=1) != first
    # Written down once: a change would move images of users' data between training and validation.
    assert seeded_split(["a", "b", "c", "d"], None, 0.5, seed=0)[1] == ["b", "d"]


@pytest.mark.parametrize("seed", range(20))
def test_no_group_is_divided(seed):
    groups = {name: f"patient{i % 7}" for i, name in enumerate(NAMES[:60])}  # the others: each its own
    train, val = seeded_split(NAMES, groups, 0.25, seed)
    assert not {groups.get(n, n) for n in train} & {groups.get(n, n) for n in val}
    assert 20 <= len(val) <= 30


def test_a_name_is_not_taken_for_a_group_of_the_same_name():
    train, val = seeded_split(["a", "b"], {"b": "a"}, 0.5, 0)
    assert len(train) == len(val) == 1


def test_neither_part_is_ever_empty():
    groups = {name: "large" for name in NAMES[:90]}
    groups |= {name: "small" for name in NAMES[90:]}
    for fraction in (0.001, 0.3, 0.999):
        train, val = seeded_split(NAMES, groups, fraction, 0)
        assert train and val
    assert len(seeded_split(NAMES, groups, 0.3, 0)[1]) == 10  # the large group would be far too many


def test_what_cannot_be_divided_is_an_error():
    with pytest.raises(DataError, match="1 group"):
        seeded_split(NAMES, {name: "one" for name in NAMES}, 0.2, 0)
    for fraction in (0, 1, -0.5, 2):
        with pytest.raises(ConfigError, match="between 0 and 1"):
            seeded_split(NAMES, None, fraction, 0)
    with pytest.raises(ConfigError, match="2 folds"):
        fold_of(NAMES, 1)


def test_folds_hold_whole_groups_and_are_as_even_as_these_allow():
    groups = {
        f"{group}{n}": group
        for group, size in {"a": 9, "b": 5, "c": 4, "d": 2, "e": 2, "f": 1}.items()
        for n in range(size)
    }
    names = [*groups, "alone"]
    folds = group_folds(names, groups, 3)
    assert sorted(folds) == sorted(names)
    for group in "abcdef":
        assert len({folds[name] for name in names if groups.get(name) == group}) == 1
    assert sorted(list(folds.values()).count(fold) for fold in range(3)) == [7, 8, 9]
    assert folds == group_folds(names[::-1], groups, 3)
    with pytest.raises(DataError, match="7 group"):
        group_folds(names, groups, 8)
