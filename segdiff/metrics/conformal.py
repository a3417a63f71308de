"""Intervals of an area or a count that hold by construction: split and cross-conformal prediction.

An estimate is off by a factor, so errors are measured as logarithms of ratios. Divided by the deviation that the image
itself suggests they are scores; the factor is the score that a share `level` of held-out images stays below, and it
turns the deviation of a new image into an interval. It covers that share of images that are exchangeable with those
that the factor was fitted on, however wrong model and deviation are. Scores of held-out folds, each by the model that
has not seen its fold, may be pooled (cross-conformal prediction: Vovk 2015, Annals of Mathematics and Artificial
Intelligence 74); then the guarantee is approximate.

Source: Papadopoulos et al. 2002 (ECML); normalised scores: Lei et al. 2018, JASA 113(523).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segdiff.errors import ConfigError, ShapeError
from segdiff.metrics.predictive import LEVEL, ROUNDING

OFFSET = 1.0  # added to areas and counts, so that 0 has a logarithm
MOST_LOG = 50.0  # of a ratio: an interval that is 10^21 times as wide as its number says that nothing is known
LEAST_DEVIATION = 0.02  # of a logarithm: no image is known to better than two hundredths before any factor


def log_deviation(values: ArrayLike) -> float:
    """Compute the standard deviation of log(value + 1) over samples of one image, 0.02 or more.

    values: (K,), such as areas or counts of a sweep of thresholds; 0 or more.

    Raises:
        ShapeError: no value.
    """
    x = np.asarray(values, dtype=np.float64)
    if not x.size:
        raise ShapeError("a deviation of no values: at least one is needed")
    return max(float(np.log(x + OFFSET).std()), LEAST_DEVIATION)


def log_ratio_score(target: float, estimate: float, deviation: float = 1.0) -> float:
    """Compute |log((target + 1) / (estimate + 1))| / deviation, for an image whose truth is known.

    Args:
        target, estimate: true and predicted number, 0 or more.
        deviation: of `log_deviation`; 1: intervals of one relative width for all images.
    Raises:
        ConfigError: a number below 0, or a deviation of 0 or less.
    """
    _check(target, deviation)
    _check(estimate, deviation)
    return abs(math.log((target + OFFSET) / (estimate + OFFSET))) / deviation


def least_images(level: float = LEVEL) -> int:
    """Give the number of images from which a factor of this level can be had: 9 for 0.9.

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
        raise ConfigError(
            f"a {level:.0%} interval needs {least} images with a known truth or more; there are {array.size}"
        )
    if not np.isfinite(array).all():
        raise ConfigError("scores of a conformal factor must be finite")
    return float(array[math.ceil((array.size + 1) * level - ROUNDING) - 1])


def conformal_interval(estimate: float, deviation: float, factor: float) -> tuple[float, float]:
    """Give the interval of all numbers whose score is at most the factor.

    Args:
        estimate: predicted number, 0 or more.
        deviation: of this image, as it was when the factor was fitted.
        factor: of `conformal_factor`.
    Returns:
        (low, high), 0 <= low <= estimate <= high.
    Raises:
        ConfigError: a number below 0, or a deviation of 0 or less.
    """
    _check(estimate, deviation)
    _check(factor, deviation)
    ratio = math.exp(min(factor * deviation, MOST_LOG))
    return max((estimate + OFFSET) / ratio - OFFSET, 0.0), (estimate + OFFSET) * ratio - OFFSET


def held_out_coverage(scores: Sequence[float], folds: Sequence[int], level: float = LEVEL) -> NDArray[np.bool_]:
    """Say for each image whether the factor of all other folds covers it.

    The mean estimates coverage on new images; with each image its own fold it is leave-one-out.

    Args:
        scores: one of each image.
        folds: likewise, which fold held it out.
        level: wanted coverage.
    Returns:
        bool (n,).
    Raises:
        ShapeError: the two differ in length.
        ConfigError: as `conformal_factor`, of the images outside of any fold.
    """
    array, numbers = np.asarray(scores, dtype=np.float64), np.asarray(folds)
    if array.shape != numbers.shape:
        raise ShapeError(f"{array.size} scores and {numbers.size} numbers of folds do not go together")
    covered = np.zeros(array.shape, dtype=bool)
    for fold in np.unique(numbers):
        held = numbers == fold
        covered[held] = array[held] <= conformal_factor(array[~held].tolist(), level)
    return covered


def _check(number: float, deviation: float) -> None:
    if not (number >= 0 and math.isfinite(number)):
        raise ConfigError(f"{number} is no area, count or factor: 0 or more is needed")
    if not (deviation > 0 and math.isfinite(deviation)):
        raise ConfigError(f"deviation={deviation}: it must be above 0")
