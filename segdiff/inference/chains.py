"""What a set of chains says together: mean and spread of their clamped soft masks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class ChainStatistics:
    """Running mean and variance over chains, in the published order: clamp to [0, 1], then average.

    Chains are added one by one, so that the way they are grouped changes nothing. The mean is a sum divided
    by a count, in float64, and not a mean corrected step by step: then votes that tie tie exactly, and a tie
    is background.

    Args:
        keep: remember every clamped chain (`chains`).
    """

    def __init__(self, keep: bool = False) -> None:
        self.count = 0
        self.chains: list[NDArray[np.float32]] | None = [] if keep else None
        self._sum: Any = 0.0
        self._squares: Any = 0.0  # sum of squared distances to the mean

    def add(self, group: NDArray[np.float32]) -> None:
        """Add a group of soft masks (k, ...), not yet clamped."""
        for chain in group.clip(0, 1):
            self._add_one(chain)

    def _add_one(self, chain: NDArray[np.float32]) -> None:
        value = chain.astype(np.float64)
        # Welford 1962: the squared distances grow by (value - old mean) (value - new mean).
        before = value - self._sum / self.count if self.count else value
        self._sum = self._sum + value
        self.count += 1
        self._squares = self._squares + before * (value - self._sum / self.count)
        if self.chains is not None:
            self.chains.append(chain)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean over chains, in [0, 1]. At least one chain must have been added."""
        return self._sum / self.count

    @property
    def variance(self) -> NDArray[np.float64]:
        """Variance over chains, divided by their number: 0 for a single chain, at most 1/4."""
        return np.maximum(self._squares / self.count, 0.0)
