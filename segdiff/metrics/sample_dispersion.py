"""Whether samples differ from each other as much as truths differ from them.

If a model's masks S, S' and the truth Y are independent draws of one law given the image, then E d(S, S') = E d(S, Y)
for every distance d. A ratio below 1 is a sampler whose masks are too alike, above 1 one whose masks differ too much. A
ratio of 1 does not prove that the law is right.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from segdiff.metrics.intervals import bootstrap_ratio_interval
from segdiff.metrics.pairwise import mean_of_pairs, pairwise_similarity


def sample_distances(
    samples: ArrayLike, targets: ArrayLike, kind: str = "dice", both_empty: float = 1.0
) -> tuple[float, float]:
    """Compute the mean distances between two samples and between a sample and a truth, of one image.

    Args:
        samples: binary (K, H, W), the sampled masks.
        targets: binary (R, H, W), the true masks: one, or one of each rater.
        kind: the distance is 1 less this similarity, "dice" or "iou".
        both_empty: the similarity of two empty masks.
    Returns:
        E d(S, S') over pairs of different samples (nan of a single sample), and E d(S, Y), each in [0, 1].
    Raises:
        ShapeError: masks of two sizes, or none. ConfigError: another kind.
    """
    within = mean_of_pairs(1 - pairwise_similarity(samples, samples, kind, both_empty))
    return within, float(1 - pairwise_similarity(samples, targets, kind, both_empty).mean())


def dispersion(distances: Sequence[tuple[float, float]]) -> float:
    """Divide E d(S, S') by E d(S, Y), each the mean over images: 1 is calibrated.

    The ratio of means, not the mean of ratios: an image on which samples and truth agree says little, and would
    have a ratio of anything.

    Args:
        distances: of `sample_distances`, one pair an image.
    Returns:
        0 or more; nan where there is no distance to a truth, or an image has a single sample.
    """
    within, between = np.asarray(distances, dtype=np.float64).reshape(-1, 2).sum(0)
    return float(within / between) if between > 0 else float("nan")


def dispersion_interval(distances: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """Give the 95 % interval of `dispersion` over images; None where `bootstrap_ratio_interval` has none."""
    array = np.asarray(distances, dtype=np.float64).reshape(-1, 2)
    return bootstrap_ratio_interval(array[:, 0].tolist(), array[:, 1].tolist())
