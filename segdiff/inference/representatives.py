"""A few masks that stand for many: which of the masks that chains drew to look at.

The K masks are those that all others are nearest to on average (k-medoids with 1 - IoU; Kaufman and Rousseeuw 1990,
Finding Groups in Data, chapter 2): they differ from each other as far as the samples do, and each stands for the
samples that are nearest to it. The first K chains would be K draws, among which the likeliest comes several times.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segdiff.errors import ConfigError

ROUNDS = 50  # of swaps; a handful suffices


def representatives(distances: NDArray[np.float64], count: int) -> tuple[list[int], list[float]]:
    """Choose samples that stand for all.

    Args:
        distances: symmetric (N, N), of every sample to every other.
        count: K, at most N.
    Returns:
        Numbers of K samples and the share of all that each stands for, the largest share first.
    Raises:
        ConfigError: fewer samples than wanted, or none wanted.
    """
    samples = len(distances)
    if not 1 <= count <= samples:
        raise ConfigError(f"{count} masks cannot be chosen of {samples} sample(s): run more chains, or ask for fewer")
    chosen: list[int] = []
    for _ in range(count):  # the one that brings all others nearest
        chosen.append(_best(distances, chosen, [k for k in range(samples) if k not in chosen]))
    for _ in range(ROUNDS):
        before = list(chosen)
        for place in range(count):
            rest = chosen[:place] + chosen[place + 1 :]
            chosen[place] = _best(distances, rest, [chosen[place], *(k for k in range(samples) if k not in chosen)])
        if chosen == before:
            break
    nearest = distances[:, chosen].argmin(axis=1)
    nearest[chosen] = np.arange(count)  # equal masks: each stands for itself at least
    shares = np.bincount(nearest, minlength=count) / samples
    order = sorted(range(count), key=lambda place: (-shares[place], chosen[place]))
    return [chosen[place] for place in order], [float(shares[place]) for place in order]


def _best(distances: NDArray[np.float64], others: list[int], candidates: list[int]) -> int:
    """The candidate with which, beside the others, samples are nearest to a chosen one; the first of equals."""
    reached = distances[:, others].min(axis=1) if others else np.full(len(distances), np.inf)
    costs = np.minimum(reached[:, None], distances[:, candidates]).sum(axis=0)
    return candidates[int(np.argmin(np.round(costs, 12)))]
