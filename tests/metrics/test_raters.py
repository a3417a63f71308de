"""Scores of samples beside several raters: by hand, by their expectations, and on real raters."""

import numpy as np
import pytest

from segdiff.data.images import read_image
from segdiff.errors import ShapeError
from segdiff.metrics import brier, dice, iou, nll
from segdiff.metrics.raters import (
    d_max,
    empty_brier,
    ged,
    ged_floor,
    hm_iou,
    marginal_brier,
    marginal_nll,
    rater_scores,
    set_diversity,
    smoothed_mean,
)
from segdiff.metrics.shared_threshold import threshold_samples

EMPTY, LEFT, RIGHT, WHOLE = masks = np.zeros((4, 2, 4), bool)
LEFT[:, :2] = RIGHT[:, 2:] = WHOLE[:] = True


def drawn(count, seed=0):
    return np.random.default_rng(seed).random((count, 6, 5)) < 0.4


def test_ged_by_hand():
    # d(left, whole) = 1/2, d(left, right) = 1.
    samples, raters = np.stack([LEFT, WHOLE]), np.stack([LEFT, RIGHT])
    across = (0 + 1 + 0.5 + 0.5) / 4
    assert ged(samples, raters) == pytest.approx(2 * across - 0.5 / 2 - 1 / 2)
    assert ged(samples, raters, biased=False) == pytest.approx(2 * across - 0.5 - 1)
    assert ged(raters, raters) == 0
    assert np.isnan(ged(samples, raters[:1], biased=False))


def test_two_empty_masks():
    none, some = EMPTY[None], np.stack([EMPTY, LEFT])
    assert ged(none, none) == 0 and hm_iou(none, none) == 1 and d_max(none, none) == 1
    assert ged(none, none, both_empty=0.0) == 2 * 1 - 1 - 1
    assert hm_iou(none, none, both_empty=0.0) == 0 and d_max(none, none, both_empty=0.0) == 0
    assert set_diversity(some) == 1
    assert hm_iou(some, some) == 1 and hm_iou(some, some, both_empty=0.0) == 0.5


def test_a_perfect_sampler_reaches_the_floor_and_no_more():
    # Raters and samples are draws of one law: a third each empty, left and whole.
    generator = np.random.default_rng(0)
    kinds = np.stack([EMPTY, LEFT, WHOLE])
    biased, unbiased, floors = [], [], []
    for _ in range(2000):
        samples, raters = kinds[generator.integers(0, 3, 6)], kinds[generator.integers(0, 3, 4)]
        biased.append(ged(samples, raters))
        unbiased.append(ged(samples, raters, biased=False))
        floors.append(ged_floor(raters, 6))
    # Distances 1, 1 and 1/2 between the three, 0 to themselves: 5/9 on average.
    assert np.mean(floors) == pytest.approx((1 / 6 + 1 / 4) * 5 / 9, abs=0.005)
    assert np.mean(biased) == pytest.approx(np.mean(floors), abs=0.01)
    assert np.mean(unbiased) == pytest.approx(0, abs=0.01)


def test_matching_repeats_to_the_least_common_multiple():
    # Two samples and three raters, six each: three times left and three times right; four times left and twice right.
    samples, raters = np.stack([LEFT, RIGHT]), np.stack([LEFT, LEFT, RIGHT])
    assert hm_iou(samples, raters) == pytest.approx(5 / 6)
    assert hm_iou(samples, samples[::-1]) == 1
    assert hm_iou(WHOLE[None], np.stack([LEFT, RIGHT])) == 0.5
    assert hm_iou(drawn(16), drawn(4, 1)) == pytest.approx(hm_iou(np.repeat(drawn(16), 2, 0), drawn(4, 1)))


def test_matching_is_the_best_of_all():
    from itertools import permutations

    a, b = drawn(4), drawn(4, 1)
    best = max(np.mean([iou(a[i], b[j]) for i, j in enumerate(order)]) for order in permutations(range(4)))
    assert hm_iou(a, b) == pytest.approx(best)


def test_best_sample_of_each_rater():
    a, b = drawn(3), drawn(4, 1)
    assert d_max(a, b) == pytest.approx(np.mean([max(dice(x, y) for x in a) for y in b]))
    assert set_diversity(a) == pytest.approx(1 - np.mean([iou(a[0], a[1]), iou(a[0], a[2]), iou(a[1], a[2])]))


def test_marginals():
    p, raters = np.random.default_rng(2).random((6, 5)), drawn(3)
    assert marginal_brier(p, raters) == pytest.approx(np.mean([brier(p, y) for y in raters]))
    assert marginal_nll(p, raters) == pytest.approx(np.mean([nll(p, y) for y in raters]))
    # The mean of the raters is the map of the least of both.
    best = raters.mean(0)
    assert marginal_brier(best, raters) < marginal_brier((best + 0.1).clip(0, 1), raters)
    np.testing.assert_allclose(smoothed_mean(np.stack([LEFT, WHOLE, WHOLE]))[0], [3.5 / 4] * 2 + [2.5 / 4] * 2)


def test_nothing_marked():
    samples, raters = np.stack([EMPTY, EMPTY, EMPTY, LEFT]), np.stack([EMPTY, EMPTY, RIGHT, RIGHT])
    assert empty_brier(samples, raters) == pytest.approx((0.25**2 + 0.75**2) / 2)
    assert empty_brier(samples, raters, fair=True) == pytest.approx((0.25**2 + 0.75**2) / 2 - 0.75 * 0.25 / 3)
    assert np.isnan(empty_brier(EMPTY[None], raters, fair=True))


def test_the_fair_score_of_nothing_does_not_depend_on_how_many_samples():
    generator = np.random.default_rng(3)
    kinds, raters = np.stack([EMPTY, LEFT]), np.stack([EMPTY, EMPTY, LEFT])
    for count in (2, 8):
        found = [empty_brier(kinds[generator.integers(0, 2, count)], raters, fair=True) for _ in range(4000)]
        assert np.mean(found) == pytest.approx((2 * 0.5**2 + 0.5**2) / 3, abs=0.01)


def test_all_of_one_image_say_what_they_depend_on():
    samples, raters = np.concatenate([drawn(5), np.zeros((1, 6, 5), bool)]), drawn(4, 1)
    found = rater_scores(samples, raters)
    assert found["ged"] == pytest.approx(ged(samples, raters))
    assert found["ged_unbiased"] == pytest.approx(ged(samples, raters, biased=False))
    assert found["ged_floor"] == pytest.approx(ged_floor(raters, 6))
    assert found["hm_iou"] == pytest.approx(hm_iou(samples, raters))
    assert found["rater_diversity"] == pytest.approx(set_diversity(raters))
    assert found["marginal_nll"] == pytest.approx(marginal_nll(smoothed_mean(samples), raters))
    assert (found["samples"], found["raters"], found["both_empty"]) == (6, 4, 1.0)
    p = np.full((6, 5), 0.5)
    assert rater_scores(samples, raters, p)["marginal_brier"] == pytest.approx(0.25)


def test_bad_input():
    for call in (ged, hm_iou, d_max, rater_scores):
        with pytest.raises(ShapeError, match="do not go together"):
            call(drawn(2), np.zeros((2, 5, 6), bool))
        with pytest.raises(ShapeError, match="at least one"):
            call(np.zeros((0, 6, 5), bool), drawn(2))
    with pytest.raises(ShapeError, match="differ"):
        marginal_brier(np.zeros((5, 6)), drawn(2))


def test_real_raters(shared_data):
    paths = sorted((shared_data / "data" / "lidc_nodules" / "masks").glob("*.png"))  # bit i: what reader i marked
    fields = [np.asarray(read_image(path)) for path in paths]
    readers = [np.stack([field.squeeze() >> bit & 1 for bit in range(4)]) > 0 for field in fields]
    assert len(readers) == 450
    for count, floor in ((4, 0.239), (16, 0.149), (100, 0.124)):
        assert np.mean([ged_floor(masks, count) for masks in readers]) == pytest.approx(floor, abs=0.001)
    # One shared threshold on the readers' mean is nearly their joint law; the majority is not.
    shared, majority = [], []
    for masks in readers:
        p = masks.mean(0)
        shared.append(ged(threshold_samples(p, [1 / 8, 3 / 8, 5 / 8, 7 / 8]), masks))
        majority.append(ged((p >= 0.5)[None], masks))
    assert np.mean(shared) == pytest.approx(0.010, abs=0.001)
    assert np.mean(majority) == pytest.approx(0.288, abs=0.001)
