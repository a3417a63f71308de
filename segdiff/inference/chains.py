"""What a set of chains says together: mean and spread of their clamped soft masks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.inference.threads import in_threads

STRIP = 2**16  # pixels


class ChainStatistics:
    """Running mean and variance over chains, in the published order: clamp to [0, 1], then average.

    Chains are added one by one, so that the way they are grouped changes nothing. The mean is a sum divided
    by a count, in float64, and not a mean corrected step by step: then votes that tie tie exactly, and a tie
    is background. The variance is of the differences to the first chain, so that equal chains have none at all.

    Args:
        keep: remember every clamped chain (`chains`).
    """

    def __init__(self, keep: bool = False) -> None:
        self.count = 0
        self.chains: list[NDArray[np.float32]] | None = [] if keep else None
        self._first: Any = None
        self._sum: Any = 0.0
        self._shifts: Any = 0.0  # sum of the differences to the first chain
        self._squares: Any = 0.0  # sum of their squares

    def add(self, group: NDArray[np.float32]) -> None:
        """Add a group of soft masks (k, ...), not yet clamped."""
        if self._first is None:
            self._first = group[0].clip(0, 1)
            self._sum, self._shifts, self._squares = (np.zeros(group.shape[1:]) for _ in range(3))
        flat = group.reshape(len(group), -1)
        sums = [one.reshape(-1) for one in (self._first, self._sum, self._shifts, self._squares)]

        def add_strip(start: int) -> None:
            # All chains over a part that fits a cache, and not all of the picture chain by chain.
            strip = slice(start, start + STRIP)
            first, total, shifts, squares = (one[strip] for one in sums)
            shift = np.empty_like(first)
            for chain in flat:
                np.clip(chain[strip], 0, 1, out=shift)
                total += shift  # float32 into float64, without a copy
                shift -= first
                shifts += shift
                shift *= shift
                squares += shift

        for _ in in_threads(add_strip, range(0, flat.shape[1], STRIP)):
            pass
        self.count += len(group)
        if self.chains is not None:
            self.chains += list(group.clip(0, 1))

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean over chains, in [0, 1]. At least one chain must have been added."""
        return self._sum / self.count

    @property
    def variance(self) -> NDArray[np.float64]:
        """Variance over chains, divided by their number: 0 for a single chain, at most 1/4."""
        return np.maximum(self._squares / self.count - (self._shifts / self.count) ** 2, 0.0)
