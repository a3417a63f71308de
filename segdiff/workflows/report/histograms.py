"""Counts of areas, confidences and scores, with borders that are easy to read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

BINS = 20
MOST_CHAINS = 32


def histogram(title: str, unit: str, values: Sequence[float], key: str, digits: int = 0) -> dict[str, Any] | None:
    """Counts in bins of one width.

    Args:
        title: for people.
        unit: "" where there is none.
        values: any finite numbers.
        key: what they are of an object ("area") or a picture ("dice").
        digits: after the point, of what is said of the values.
    Returns:
        "edges" (one more than counts), "counts", "more" (how many lie beyond the last edge: at most one in a hundred),
        "median", "n", "title", "unit", "key", "digits"; None without values.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if not numbers.size:
        return None
    edges = _edges(numbers)
    within = numbers[numbers <= edges[-1]]
    counts, _ = np.histogram(within, edges)
    return {
        "key": key,
        "title": title,
        "unit": unit,
        "digits": digits,
        "edges": [float(f"{edge:.10g}") for edge in edges],
        "counts": counts.tolist(),
        "more": int(numbers.size - within.size),
        "median": float(np.median(numbers)),
        "n": int(numbers.size),
    }


def _edges(numbers: np.ndarray) -> np.ndarray:
    """Borders of bins: around each possible share of n chains; over 0 to 1; or from 0 to a round number above 99 %."""
    low, high = float(numbers.min()), float(numbers.max())
    if low >= 0 and high <= 1:
        chains = _chains(numbers)
        if chains is not None:
            return (np.arange(chains + 2) - 0.5) / chains
        return np.linspace(0, 1, BINS + 1)
    if low < 0:
        return np.linspace(low, high, BINS + 1) if high > low else np.array([low - 0.5, low + 0.5])
    width = _round_up(float(np.quantile(numbers, 0.99)) / BINS or high / BINS)
    return np.arange(BINS + 1) * width


def _chains(numbers: np.ndarray) -> int | None:
    """The least n of 2 to `MOST_CHAINS` of which all numbers are shares k/n (to four decimals); None: there is none."""
    for chains in range(2, MOST_CHAINS + 1):
        steps = numbers * chains
        if np.all(np.abs(steps - np.rint(steps)) <= 1e-4 * chains):
            return chains
    return None


def _round_up(width: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(width))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= width * (1 - 1e-9))
