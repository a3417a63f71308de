"""CRPS and coverage against closed forms: of the uniform and the normal distribution, and of order statistics."""

import math

import numpy as np
import pytest

from segdiff.errors import ConfigError, ShapeError
from segdiff.metrics.predictive import coverage, crps, least_samples, nominal_coverage, sample_interval


def test_crps_of_a_normal_distribution():
    # Gneiting and Raftery 2007, section 4.2: sigma (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)).
    samples = 3 + 2 * np.random.default_rng(0).standard_normal(200_000)
    for y in (3.0, 5.0, -4.0):
        z = (y - 3) / 2
        phi, cdf = math.exp(-z * z / 2) / math.sqrt(2 * math.pi), (1 + math.erf(z / math.sqrt(2))) / 2
        assert crps(samples, y) == pytest.approx(2 * (z * (2 * cdf - 1) + 2 * phi - 1 / math.sqrt(math.pi)), abs=0.01)


def test_crps_of_few_samples_by_hand():
    x, y = np.array([1.0, 4.0, 6.0]), 3.0
    error, spread = (2 + 1 + 3) / 3, 3 + 5 + 2
    assert crps(x, y, fair=False) == pytest.approx(error - 2 * spread / 9 / 2)
    assert crps(x, y) == pytest.approx(error - spread / 3 / 2)
    assert crps([5.0], 3.0) == 2 and crps([5.0, 5.0], 3.0) == 2
    np.testing.assert_allclose(crps(x, [3.0, 6.0]), [crps(x, 3.0), crps(x, 6.0)])


def test_the_fair_score_does_not_depend_on_the_number_of_samples():
    # Uniform on (0, 1): E|X - y| - E|X - X'| / 2 is 1/3 - 1/6 for y = 1/2 +- 1/sqrt(12), and 1/4 - 1/6 for y = 1/2.
    generator = np.random.default_rng(1)
    for count in (2, 5, 20):
        draws = generator.random((20_000, count))
        assert np.mean([crps(x, 0.5) for x in draws[:4000]]) == pytest.approx(1 / 4 - 1 / 6, abs=0.005)
        unfair = np.mean([crps(x, 0.5, fair=False) for x in draws[:4000]])
        assert unfair == pytest.approx(1 / 4 - (1 - 1 / count) / 6, abs=0.005)


def test_sharp_and_right_beats_wide_and_wrong():
    sharp, wide, wrong = np.linspace(9, 11, 21), np.linspace(0, 20, 21), np.linspace(14, 16, 21)
    assert crps(sharp, 10) < crps(wide, 10) < crps(wrong, 10)


@pytest.mark.parametrize(
    ("count", "level", "nominal"), [(19, 0.9, 0.9), (39, 0.9, 0.9), (20, 0.9, 19 / 21), (3, 0.5, 0.5)]
)
def test_order_statistics_cover_what_they_promise(count, level, nominal):
    assert nominal_coverage(count, level) == pytest.approx(nominal)
    generator = np.random.default_rng(2)
    draws = generator.standard_normal((20_000, count + 1))
    found = np.mean([coverage(row[1:], row[0], level) for row in draws])
    assert found == pytest.approx(nominal, abs=0.01)


def test_whole_range():
    assert nominal_coverage(16, None) == pytest.approx(15 / 17)
    assert sample_interval([3, 1, 2], None) == (1, 3)
    assert coverage([3, 1, 2], [0, 1, 2, 3, 4], None).tolist() == [0, 1, 1, 1, 0]


def test_least_samples_are_the_least():
    for level in (0.5, 0.8, 0.9, 0.95):
        least = least_samples(level)
        sample_interval(range(least), level)
        with pytest.raises(ConfigError, match=f"{least} or more"):
            sample_interval(range(least - 1), level)
    assert least_samples() == 19


def test_shared_ties_are_nominal_for_counts_where_ends_cover_more():
    generator = np.random.default_rng(3)
    draws = generator.binomial(6, 0.5, (20_000, 20)).astype(float)
    shared = np.mean([coverage(row[1:], row[0], ties="shared") for row in draws])
    inside = np.mean([coverage(row[1:], row[0]) for row in draws])
    assert shared == pytest.approx(0.9, abs=0.01)
    assert inside > 0.95


def test_shared_ties_by_hand():
    # Samples 1 2 2 3 of level 0.5: j = 1 of K = 4, covered are the ranks 1 to 3 of 0 to 4.
    values = coverage([1, 2, 2, 3], [0, 1, 1.5, 2, 3, 4], 0.5, ties="shared")
    assert values.tolist() == [0, 0.5, 1, 1, 0.5, 0]
    assert coverage([7] * 19, 7, ties="shared") == pytest.approx(0.9) and coverage([7] * 19, 7) == 1


def test_bad_input():
    for wrong in ([], [[1.0, 2.0]], 3.0):
        with pytest.raises(ShapeError, match="at least one"):
            crps(wrong, 1)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        sample_interval([1, 2], 1.0)
    with pytest.raises(ConfigError, match="ties"):
        coverage([1, 2], 1, None, ties="some")
    with pytest.raises(ConfigError, match="2 or more"):
        sample_interval([1], None)
