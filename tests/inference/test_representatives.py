from __future__ import annotations

import itertools

import numpy as np
import pytest

from segdiff.errors import ConfigError
from segdiff.inference.representatives import representatives


def distances(numbers: list[float]) -> np.ndarray:
    x = np.asarray(numbers, float)
    return np.abs(x[:, None] - x)


def test_groups_are_found_with_their_shares():
    chosen, shares = representatives(distances([0, 9, 0.1, 5, 9.1, 9.2, 9.1]), 3)
    assert chosen == [4, 0, 3] and shares == pytest.approx([4 / 7, 2 / 7, 1 / 7])


def test_the_best_choice_of_all():
    square = distances(list(np.random.default_rng(0).normal(size=12)))
    chosen, shares = representatives(square, 3)
    best = min(square[:, list(three)].min(1).sum() for three in itertools.combinations(range(12), 3))
    assert square[:, chosen].min(1).sum() == pytest.approx(best) and sum(shares) == pytest.approx(1)


def test_equal_samples_and_all_of_them():
    assert representatives(np.zeros((4, 4)), 2) == ([0, 1], [0.75, 0.25])
    chosen, shares = representatives(distances([1, 2, 4]), 3)
    assert sorted(chosen) == [0, 1, 2] and shares == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("count", [0, 4])
def test_too_many(count):
    with pytest.raises(ConfigError, match=f"{count} masks cannot be chosen of 3"):
        representatives(distances([1, 2, 4]), count)
