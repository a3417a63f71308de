"""Scores of a set of sampled masks beside the masks of several raters of one image.

Samples are binary (N, H, W), raters binary (R, H, W). Two empty masks count `both_empty`, by default 1: a model that
says "nothing" where a rater marked nothing is right. Scores with different N, or another rule for empty masks, do not
compare, so `rater_scores` gives both beside them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segdiff.metrics.calibration import brier, nll
from segdiff.metrics.pairwise import mask_set, mean_of_pairs, pairwise_similarity


def ged(samples: ArrayLike, raters: ArrayLike, biased: bool = True, both_empty: float = 1.0) -> float:
    """Compute the squared generalised energy distance: 2 E d(S, Y) - E d(S, S') - E d(Y, Y'), d = 1 - IoU.

    Source: Székely and Rizzo 2013, J. Stat. Plan. Inference 143(8); of segmentations: Kohl et al. 2018,
    arXiv:1806.05034.

    Args:
        biased: each mask is also paired with itself, as in published tables: then even a perfect sampler has
            `ged_floor`. False: pairs of different masks only, so that a perfect sampler has 0 on average, whatever N.
        both_empty: what two empty masks count, in [0, 1].
    Returns:
        Less is better; the unbiased one may fall below 0, and is nan of one sample or one rater.
    Raises:
        ShapeError: masks of two sizes, or none.
    """
    across, within, between_raters = _distances(samples, raters, both_empty)
    mean = np.mean if biased else mean_of_pairs
    return float(2 * across.mean() - mean(within) - mean(between_raters))


def ged_floor(raters: ArrayLike, count: int, both_empty: float = 1.0) -> float:
    """Give the biased `ged` that N more raters would have on average: (1 / N + 1 / R) E d(Y, Y').

    E d(Y, Y') is over pairs of different raters. What lies below it on a whole data set is not better than a rater.

    Args:
        count: N, how many samples are scored.
        both_empty: as `ged`.
    Returns:
        0 or more; nan of a single rater.
    """
    distances = 1 - pairwise_similarity(raters, raters, "iou", both_empty)
    return (1 / count + 1 / len(distances)) * mean_of_pairs(distances)


def hm_iou(samples: ArrayLike, raters: ArrayLike, both_empty: float = 1.0) -> float:
    """Compute the Hungarian-matched IoU: the mean IoU of the best one-to-one matching of samples and raters.

    Both sets are repeated to their least common multiple, so that each mask counts alike (Kohl et al. 2019,
    arXiv:1905.13077).

    Returns:
        In [0, 1]; more is better.
    Raises:
        ShapeError: as `ged`.
    """
    return _matched(pairwise_similarity(samples, raters, "iou", both_empty))


def d_max(samples: ArrayLike, raters: ArrayLike, both_empty: float = 1.0) -> float:
    """Compute the mean over raters of the Dice of the sample that fits that rater best; it grows with N.

    Source: Rahman et al. 2023, arXiv:2304.04745.

    Returns:
        In [0, 1]; more is better.
    Raises:
        ShapeError: as `ged`.
    """
    return float(pairwise_similarity(samples, raters, "dice", both_empty).max(0).mean())


def set_diversity(masks: ArrayLike, both_empty: float = 1.0) -> float:
    """Compute the mean of 1 - IoU over all pairs of different masks, of samples or of raters; nan of a single mask."""
    return mean_of_pairs(1 - pairwise_similarity(masks, masks, "iou", both_empty))


def marginal_brier(probability: ArrayLike, raters: ArrayLike) -> float:
    """Compute the mean over raters of the `brier` score of a probability map (H, W); in [0, 1], less is better.

    Raises:
        ShapeError: map and masks differ in size, or there is no mask.
    """
    return float(np.mean([brier(probability, rater) for rater in mask_set(raters)]))


def marginal_nll(probability: ArrayLike, raters: ArrayLike) -> float:
    """Compute the mean over raters of the `nll` of a probability map (H, W), in nats; less is better.

    The mean of N samples says 0 and 1 where it cannot know: give a map of `smoothed_mean` then. Raises as
    `marginal_brier`.
    """
    return float(np.mean([nll(probability, rater) for rater in mask_set(raters)]))


def smoothed_mean(samples: ArrayLike) -> NDArray[np.float64]:
    """Estimate the probability of foreground from samples: (k + 1/2) / (N + 1), k of N samples being foreground.

    Source: Krichevsky and Trofimov 1981, IEEE Trans. Inf. Theory 27(2).
    """
    masks = mask_set(samples)
    return (masks.sum(0) + 0.5) / (len(masks) + 1)


def empty_brier(samples: ArrayLike, raters: ArrayLike, fair: bool = False) -> float:
    """Compute the Brier score of "a rater marked nothing": the mean over raters of (q - y)^2.

    q is the share of samples that are empty, y 1 for a rater whose mask is.

    Args:
        fair: less q (1 - q) / (N - 1), so that few samples are not worse than many (Ferro 2014, QJRMS 140(683)).
    Returns:
        Less is better; nan where `fair` and there is one sample.
    Raises:
        ShapeError: a set without masks.
    """
    drawn, truths = mask_set(samples), mask_set(raters)
    q, n = float(np.mean(~drawn.any(axis=(1, 2)))), len(drawn)
    marked = ~truths.any(axis=(1, 2))
    score = float(np.mean((q - marked) ** 2))
    if not fair:
        return score
    return score - q * (1 - q) / (n - 1) if n > 1 else float("nan")


def rater_scores(
    samples: ArrayLike, raters: ArrayLike, probability: ArrayLike | None = None, both_empty: float = 1.0
) -> dict[str, float]:
    """Compute all of these for one image, and what they depend on.

    Args:
        samples: binary (N, H, W).
        raters: binary (R, H, W).
        probability: (H, W), in [0, 1], the model's own; None: `smoothed_mean` of the samples.
        both_empty: as `ged`.
    Returns:
        "ged", "ged_unbiased", "ged_floor", "hm_iou", "d_max", "diversity" (of samples), "rater_diversity",
        "marginal_brier", "marginal_nll", "empty_brier", "empty_brier_fair"; "samples" (N), "raters" (R), "both_empty".
    Raises:
        ShapeError: masks or a probability of other sizes, or a set without masks.
    """
    across, within, between_raters = _distances(samples, raters, both_empty)
    n, r = across.shape
    diversity, rater_diversity = mean_of_pairs(within), mean_of_pairs(between_raters)
    shown = smoothed_mean(samples) if probability is None else probability
    return {
        "ged": float(2 * across.mean() - within.mean() - between_raters.mean()),
        "ged_unbiased": float(2 * across.mean() - diversity - rater_diversity),
        "ged_floor": (1 / n + 1 / r) * rater_diversity,
        "hm_iou": _matched(1 - across),
        "d_max": d_max(samples, raters, both_empty),
        "diversity": diversity,
        "rater_diversity": rater_diversity,
        "marginal_brier": marginal_brier(shown, raters),
        "marginal_nll": marginal_nll(shown, raters),
        "empty_brier": empty_brier(samples, raters),
        "empty_brier_fair": empty_brier(samples, raters, fair=True),
        "samples": n,
        "raters": r,
        "both_empty": both_empty,
    }


def _distances(
    samples: ArrayLike, raters: ArrayLike, both_empty: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """1 - IoU of samples and raters (N, R), of samples (N, N), of raters (R, R)."""
    pairs = ((samples, raters), (samples, samples), (raters, raters))
    across, within, between_raters = (1 - pairwise_similarity(a, b, "iou", both_empty) for a, b in pairs)
    return across, within, between_raters


def _matched(similarity: NDArray[np.float64]) -> float:
    from scipy.optimize import linear_sum_assignment

    n, r = similarity.shape
    every = math.lcm(n, r)
    repeated = np.repeat(np.repeat(similarity, every // n, axis=0), every // r, axis=1)
    return float(repeated[linear_sum_assignment(repeated, maximize=True)].mean())
