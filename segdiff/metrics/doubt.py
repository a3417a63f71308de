"""What a model's doubts are worth: whether they point at its errors, and whether its chains differ at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from segdiff.errors import ShapeError
from segdiff.metrics.pairwise import mean_of_pairs, pairwise_similarity


def error_auroc(doubt: ArrayLike, wrong: ArrayLike) -> float:
    """The chance that a wrong pixel has more doubt than a right one; a tie counts one half.

    The area under the receiver operating characteristic of finding wrong pixels by their doubt, by the rank sum of
    Mann and Whitney 1947.

    Args:
        doubt: any numbers (H, W); more means less sure.
        wrong: bool (H, W).
    Returns:
        In [0, 1], 0.5 for a doubt that knows nothing; nan where all pixels are right, or all wrong.
    Raises:
        ShapeError: the shapes differ.
    """
    from scipy.stats import rankdata

    d, w = np.asarray(doubt, dtype=np.float64).ravel(), np.asarray(wrong, dtype=bool).ravel()
    if d.shape != w.shape:
        raise ShapeError(f"doubt of {d.size} pixels and errors of {w.size} do not go together")
    n = int(w.sum())
    if n in (0, w.size):
        return float("nan")
    ranks = rankdata(d)
    return float((ranks[w].sum() - n * (n + 1) / 2) / (n * (w.size - n)))


def margin_doubt(probability: ArrayLike) -> np.ndarray:
    """1 - |2 p - 1|: 1 where the probability is one half, 0 where it is sure."""
    return 1 - np.abs(2 * np.asarray(probability, dtype=np.float64) - 1)


def diversity(chains: ArrayLike, threshold: float = 0.5) -> float:
    """How different the masks of the chains are: 1 - Dice, the mean over all pairs of chains.

    chains: (K, H, W), in [0, 1]. 0: all alike, as of a sampler that has collapsed; nan of a single chain. Two empty
    masks are alike.
    """
    masks = np.asarray(chains) > threshold
    return mean_of_pairs(1 - pairwise_similarity(masks, masks))
