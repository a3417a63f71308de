"""Intervals of an area or a count that hold by construction: split and cross-conformal prediction.

An estimate is off by a factor, so errors are measured as logarithms of ratios. A model may be wrong in one direction:
the median of the errors of held-out images is its shift. What is left, divided by the deviation that an image itself
suggests, is a score; the factor is the score that a share `level` of held-out images stays below, and it turns the
deviation of a new image into an interval. It covers that share of images that are exchangeable with those that it
was fitted on, however wrong model and deviation are. Scores of held-out folds, each by the model that has not seen its
fold, may be pooled (cross-conformal prediction: Vovk 2015, Annals of Mathematics and Artificial Intelligence 74); then,
and by the shift, the guarantee is approximate.

Source: Papadopoulos et al. 2002 (ECML); normalised scores: Lei et al. 2018, JASA 113(523); a shift without each image
itself, as in the jackknife: Barber et al. 2021, Annals of Statistics 49(1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segdiff.errors import ConfigError, ShapeError
from segdiff.metrics.predictive import LEVEL, ROUNDING

OFFSET = 1.0  # added to areas and counts, so that 0 has a logarithm
MOST_LOG = 50.0  # of a ratio: an interval that is 10^21 times as wide as its number says that nothing is known
LEAST_DEVIATION = 0.2  # of a logarithm: what the thresholds of one image do not know of


class ConformalFit(NamedTuple):
    """What makes an interval of an estimate and its deviation.

    Attributes:
        shift: added to the logarithm of the estimate.
        factor: of the deviation.
    """

    shift: float
    factor: float

    def interval(self, estimate: float, deviation: float = 1.0) -> tuple[float, float]:
        """Give the interval of a number; its middle is off the estimate where the model errs in one direction.

        Args:
            estimate: predicted number, 0 or more.
            deviation: of this image, by the rule of the images that the factor was fitted on.
        Returns:
            (low, high), 0 <= low <= high.
        Raises:
            ConfigError: a number below 0, or a deviation of 0 or less.
        """
        _check(estimate, deviation)
        ratio = math.exp(min(self.factor * deviation, MOST_LOG))
        middle = (estimate + OFFSET) * math.exp(min(self.shift, MOST_LOG))
        return max(middle / ratio - OFFSET, 0.0), max(middle * ratio - OFFSET, 0.0)


def log_deviation(values: ArrayLike) -> float:
    """Compute how uncertain an image says that its number is: sqrt(s^2 + 0.2^2), s the deviation of log(value + 1).

    values: (K,), such as areas or counts of a sweep of thresholds; 0 or more.

    Raises:
        ShapeError: no value.
    """
    x = np.asarray(values, dtype=np.float64)
    if not x.size:
        raise ShapeError("a deviation of no values: at least one is needed")
    return float(np.hypot(np.log(x + OFFSET).std(), LEAST_DEVIATION))


def log_ratio(target: float, estimate: float) -> float:
    """Compute log((target + 1) / (estimate + 1)) of a true and a predicted number.

    Raises:
        ConfigError: a number below 0.
    """
    _check(target)
    _check(estimate)
    return math.log((target + OFFSET) / (estimate + OFFSET))


def least_images(level: float = LEVEL) -> int:
    """Give the number of images from which an interval of this level can be fitted: 9 for 0.9.

    Raises:
        ConfigError: a level that is not above 0 and below 1.
    """
    if not 0 < level < 1:
        raise ConfigError(f"level={level}: it lies between 0 and 1")
    return math.ceil(level / (1 - level) - ROUNDING)


def conformal_factor(scores: Sequence[float], level: float = LEVEL) -> float:
    """Give the finite-sample quantile of scores: the ceil((n + 1) level)-th smallest of n.

    Of n + 1 exchangeable scores any is at most that of the n others with a chance of at least `level`.

    Args:
        scores: one of each held-out image.
        level: wanted coverage.
    Raises:
        ConfigError: fewer images than `least_images`, a score that is not finite, or a level that cannot be.
    """
    array, least = np.sort(np.asarray(scores, dtype=np.float64)), least_images(level)
    if array.size < least:
        raise ConfigError(f"a {level:.0%} interval needs {least} images with a known truth; there are {array.size}")
    if not np.isfinite(array).all():
        raise ConfigError("errors that a conformal interval is fitted to must be finite")
    return float(array[math.ceil((array.size + 1) * level - ROUNDING) - 1])


def fit_conformal(errors: Sequence[float], deviations: Sequence[float], level: float = LEVEL) -> ConformalFit:
    """Fit shift and factor to held-out images.

    The score of an image is its distance to the median error of all others, divided by its deviation: with its own
    error in the median, few images would seem better known than new ones are.

    Args:
        errors: `log_ratio` of each image.
        deviations: of each image, in the same order, above 0; ones give intervals of one relative width.
        level: wanted coverage.
    Raises:
        ShapeError: the two differ in length.
        ConfigError: as `conformal_factor`; a deviation of 0 or less.
    """
    e, d = np.asarray(errors, dtype=np.float64), np.asarray(deviations, dtype=np.float64)
    if e.shape != d.shape:
        raise ShapeError(f"{e.size} errors and {d.size} deviations do not go together")
    if not (d > 0).all():
        raise ConfigError("deviations must be above 0")
    others = [float(np.median(np.delete(e, i))) if e.size > 1 else 0.0 for i in range(e.size)]
    factor = conformal_factor((np.abs(e - others) / d).tolist(), level)
    return ConformalFit(float(np.median(e)), factor)


def held_out_coverage(
    errors: Sequence[float], deviations: Sequence[float], folds: Sequence[int], level: float = LEVEL
) -> NDArray[np.bool_]:
    """Say for each image whether the interval that is fitted to all other folds covers it.

    The mean estimates coverage on new images; with each image its own fold it is leave-one-out.

    Args:
        errors, deviations, level: as `fit_conformal`.
        folds: which fold, organ or patient each image is of.
    Returns:
        bool (n,).
    Raises:
        ShapeError: they differ in length.
        ConfigError: as `fit_conformal`, of the images outside of any fold.
    """
    e, d, numbers = np.asarray(errors, np.float64), np.asarray(deviations, np.float64), np.asarray(folds)
    if e.shape != numbers.shape:
        raise ShapeError(f"{e.size} errors and {numbers.size} numbers of folds do not go together")
    covered = np.zeros(e.shape, dtype=bool)
    for fold in np.unique(numbers):
        held = numbers == fold
        fit = fit_conformal(e[~held].tolist(), d[~held].tolist(), level)
        covered[held] = np.abs(e[held] - fit.shift) <= fit.factor * d[held]
    return covered


def _check(number: float, deviation: float = 1.0) -> None:
    if not (number >= 0 and math.isfinite(number)):
        raise ConfigError(f"{number} is no area and no count: 0 or more is needed")
    if not (deviation > 0 and math.isfinite(deviation)):
        raise ConfigError(f"deviation={deviation}: it must be above 0")
