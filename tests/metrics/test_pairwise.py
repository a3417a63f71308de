"""Similarities of sets of masks against the two-mask functions, and what two empty masks count."""

import numpy as np
import pytest

from segdiff.errors import ConfigError, ShapeError
from segdiff.metrics import dice, diversity, iou, pairwise
from segdiff.metrics.pairwise import mean_of_pairs, pairwise_similarity


def drawn(count, seed=0, shape=(9, 7)):
    return np.random.default_rng(seed).random((count, *shape)) < 0.3


@pytest.mark.parametrize(("kind", "one"), [("dice", dice), ("iou", iou)])
def test_each_pair_is_what_two_masks_give(kind, one):
    a, b = drawn(3), drawn(4, seed=1)
    found = pairwise_similarity(a, b, kind)
    np.testing.assert_allclose(found, [[one(x, y) for y in b] for x in a], rtol=1e-12)


def test_many_pixels_are_added_in_blocks(monkeypatch):
    whole = pairwise_similarity(drawn(3), drawn(4, seed=1))
    monkeypatch.setattr(pairwise, "BLOCK", 10)
    np.testing.assert_array_equal(pairwise_similarity(drawn(3), drawn(4, seed=1)), whole)


@pytest.mark.parametrize("kind", ["dice", "iou"])
@pytest.mark.parametrize("both", [1.0, 0.0])
def test_empty_masks(kind, both):
    masks = np.zeros((2, 4, 4), bool)
    masks[1, 0] = True
    assert pairwise_similarity(masks, masks, kind, both).tolist() == [[both, 0], [0, 1]]


def test_pairs_of_different_masks_only():
    assert mean_of_pairs(np.array([[9, 1, 2], [1, 9, 6], [2, 6, 9]], float)) == 3
    assert np.isnan(mean_of_pairs(np.ones((1, 1))))


def test_diversity_is_one_less_the_mean_similarity():
    masks = drawn(5)
    assert diversity(masks) == pytest.approx(
        1 - np.mean([dice(masks[i], masks[j]) for i in range(5) for j in range(i)])
    )


def test_bad_sets():
    with pytest.raises(ShapeError, match="do not go together"):
        pairwise_similarity(drawn(2), drawn(2, shape=(7, 9)))
    with pytest.raises(ShapeError, match="at least one"):
        pairwise_similarity(np.zeros((0, 4, 4)), np.zeros((0, 4, 4)))
    with pytest.raises(ConfigError, match="'f1' is not known"):
        pairwise_similarity(drawn(2), drawn(2), "f1")
