"""Dispersion of samplers whose law is known: 1 for the law itself, below for copies, above for too wide ones."""

import numpy as np
import pytest

from segdiff.errors import ShapeError
from segdiff.metrics.intervals import bootstrap_interval, bootstrap_ratio_interval
from segdiff.metrics.sample_dispersion import dispersion, dispersion_interval, sample_distances

WIDTH = 64


def nested(u):
    """Rows of which a share u is foreground: one number decides the whole mask."""
    return np.arange(WIDTH)[None, None] < np.rint(np.asarray(u)[:, None, None] * WIDTH)


def distances(sample, images=300, count=8, seed=0):
    """Of images whose truth is uniform on (0.25, 0.75)."""
    generator = np.random.default_rng(seed)
    truths = generator.uniform(0.25, 0.75, images)
    return [sample_distances(nested(sample(generator, t, count)), nested([t])) for t in truths]


def test_by_hand():
    masks = np.zeros((3, 1, 4), bool)
    masks[0, 0, :2] = masks[1, 0, :2] = masks[2, 0] = True
    within, between = sample_distances(masks, masks[:1])
    assert within == pytest.approx((0 + 1 / 3 + 1 / 3) / 3)
    assert between == pytest.approx((0 + 0 + 1 / 3) / 3)
    assert dispersion([(within, between)]) == pytest.approx(2)


def test_the_law_itself_has_a_dispersion_of_one():
    found = distances(lambda generator, _, count: generator.uniform(0.25, 0.75, count))
    assert dispersion(found) == pytest.approx(1, abs=0.05)
    low, high = dispersion_interval(found)
    assert low < 1 < high


def test_copies_of_one_guess_are_too_alike_and_wide_draws_too_different():
    guess = distances(lambda generator, _, count: 0.5 + generator.uniform(-0.02, 0.02, count))
    wide = distances(lambda generator, _, count: generator.uniform(0.05, 0.95, count))
    assert dispersion(guess) < 0.3 and dispersion_interval(guess)[1] < 0.4
    assert dispersion(wide) > 1.1


def test_it_is_a_ratio_of_means():
    assert dispersion([(0.1, 0.2), (0.0, 0.0), (0.3, 0.2)]) == pytest.approx(1)
    assert np.isnan(dispersion([(0.0, 0.0)])) and dispersion_interval([(0.0, 0.0), (0.0, 0.0)]) is None
    assert np.isnan(dispersion([(float("nan"), 0.2)]))


def test_empty_masks_and_both_kinds():
    empty = np.zeros((2, 3, 3), bool)
    assert sample_distances(empty, empty[:1]) == (0, 0)
    assert sample_distances(empty, empty[:1], "iou", both_empty=0.0) == (1, 1)
    with pytest.raises(ShapeError):
        sample_distances(empty, np.zeros((1, 4, 4)))


def test_interval_of_a_ratio():
    ones = [1.0] * 6
    values = [0.2, 0.5, 0.1, 0.9, 0.4, 0.3]
    assert bootstrap_ratio_interval(values, ones) == pytest.approx(bootstrap_interval(values))
    assert bootstrap_ratio_interval(ones, ones) == (1, 1)
    assert bootstrap_ratio_interval([1.0], [1.0]) is None
    low, high = bootstrap_ratio_interval([1.0, 1.0], [0.0, 1.0])  # a resample in four has denominators of 0 only
    assert (low, high) == (1, np.inf)
    with pytest.raises(ShapeError, match="do not go together"):
        bootstrap_ratio_interval([1.0, 2.0], [1.0])
