"""Scores of a predicted distribution of one number, such as an area or a count, that is known by samples of it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segdiff.errors import ConfigError, ShapeError

LEVEL = 0.9
TIES = ("inside", "shared")
ROUNDING = 1e-9  # (1 - 0.9) / 2 * 20 is 0.9999999999999998, and stands for 1


def crps(samples: ArrayLike, target: ArrayLike, fair: bool = True) -> NDArray[np.float64]:
    """Compute the continuous ranked probability score: E|X - y| - E|X - X'| / 2, in the unit of the number.

    Less is better; for samples that all agree it is the absolute error. Source: Gneiting and Raftery 2007, JASA
    102(477), section 4.2; of samples: Ferro 2014, QJRMS 140(683).

    Args:
        samples: (K,), finite.
        target: the true number, or an array of several.
        fair: pairs of different samples only, which estimates the score of the whole distribution without bias, so
            that few samples are not worse than many. Of a single sample: its absolute error.
    Returns:
        Of the shape of `target`; 0 or more, but that the fair score of few samples may fall below.
    Raises:
        ShapeError: no sample, or not (K,).
    """
    x = np.sort(_numbers(samples))
    y = np.asarray(target, dtype=np.float64)
    k = x.size
    # The sum of |x_i - x_j| over ordered pairs: the i-th smallest is i times the larger, k - 1 - i times the smaller.
    spread = 2 * float(((2 * np.arange(k) - k + 1) * x).sum())
    pairs = k * (k - 1) if fair and k > 1 else k * k
    return np.abs(x - y[..., None]).mean(-1) - spread / pairs / 2


def least_samples(level: float = LEVEL) -> int:
    """Give the number of samples from which an interval of this level can be had: 19 for 0.9.

    Raises:
        ConfigError: a level that is not above 0 and below 1.
    """
    _check_level(level)
    return math.ceil(2 / (1 - level) - ROUNDING) - 1


def nominal_coverage(count: int, level: float | None = LEVEL) -> float:
    """Give the share of truths that the interval of `sample_interval` covers if truth and samples are exchangeable.

    (K + 1 - 2 j) / (K + 1), between the j-th smallest and the j-th largest of K samples; at least `level`.

    Raises:
        ConfigError: as `sample_interval`.
    """
    return (count + 1 - 2 * _rank(count, level)) / (count + 1)


def sample_interval(samples: ArrayLike, level: float | None = LEVEL) -> tuple[float, float]:
    """Give the narrowest central interval between two of the samples that covers a share of at least `level`.

    Args:
        samples: (K,), finite.
        level: wanted coverage; None: from the smallest to the largest sample.
    Returns:
        (low, high), both ends included.
    Raises:
        ShapeError: no sample, or not (K,).
        ConfigError: fewer samples than `least_samples`, or a level that cannot be.
    """
    x = np.sort(_numbers(samples))
    j = _rank(x.size, level)
    return float(x[j - 1]), float(x[-j])


def coverage(
    samples: ArrayLike, target: ArrayLike, level: float | None = LEVEL, ties: str = "inside"
) -> NDArray[np.float64]:
    """Say whether the interval of `sample_interval` covers the truth: 1 or 0, to be averaged over images.

    Args:
        samples, level: as `sample_interval`.
        target: the true number, or an array of several.
        ties: "inside": an end that equals the truth covers it, as a reader of the interval takes it. Numbers that
            repeat, as counts do, are then covered more often than nominal even by a perfect sampler. "shared": the
            chance that the truth is covered when samples that equal it are ordered about it at random, which is
            nominal for a perfect sampler.
    Returns:
        Of the shape of `target`, in [0, 1].
    Raises:
        ShapeError, ConfigError: as `sample_interval`; other ties.
    """
    if ties not in TIES:
        raise ConfigError(f"ties {ties!r} are not known; known: {', '.join(TIES)}")
    x, y = np.sort(_numbers(samples)), np.asarray(target, dtype=np.float64)
    k, j = x.size, _rank(x.size, level)
    if ties == "inside":
        return ((x[j - 1] <= y) & (y <= x[-j])).astype(np.float64)
    # The rank of the truth, 0 to K, is any of below..upto; covered are the ranks j..K - j.
    below, upto = np.searchsorted(x, y, side="left"), np.searchsorted(x, y, side="right")
    inside = np.minimum(upto, k - j) - np.maximum(below, j) + 1
    return np.clip(inside, 0, None) / (upto - below + 1.0)


def _rank(count: int, level: float | None) -> int:
    """j of the j-th smallest and j-th largest sample."""
    if level is None:
        if count < 2:
            raise ConfigError(f"an interval of {count} sample(s) is none: 2 or more are needed")
        return 1
    _check_level(level)
    j = math.floor((1 - level) / 2 * (count + 1) + ROUNDING)
    if j < 1:
        raise ConfigError(
            f"a {level:.0%} interval of {count} samples is none: {least_samples(level)} or more are needed"
        )
    return j


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ConfigError(f"level={level}: it lies between 0 and 1")


def _numbers(samples: ArrayLike) -> NDArray[np.float64]:
    x = np.asarray(samples, dtype=np.float64)
    if x.ndim != 1 or not x.size:
        raise ShapeError(f"samples of a number are an array (K,), at least one; got {x.shape}")
    return x
