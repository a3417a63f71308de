"""Probabilities made cooler or warmer, so that they mean what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.errors import ConfigError

# Log-odds are held within +-LIMIT: beyond lies the rounding of float32 probabilities.
LIMIT = 16.0


def check_temperature(temperature: float) -> float:
    """ConfigError unless it is a positive number."""
    if not 0 < temperature < float("inf"):
        raise ConfigError(f"temperature={temperature}: it must be a positive number")
    return temperature


def log_odds(probability: NDArray[Any]) -> NDArray[np.float64]:
    """log(p / (1 - p)), held within +-16."""
    p = np.asarray(probability, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return (np.log(p) - np.log1p(-p)).clip(-LIMIT, LIMIT)


def temper_threshold(threshold: float, temperature: float) -> float:
    """The threshold that makes of `temper(p, temperature)` the mask that `threshold` makes of p."""
    if temperature == 1.0 or threshold in (0, 0.5, 1):
        return threshold
    return float(temper(np.array([threshold]), temperature)[0])


def temper(probability: NDArray[Any], temperature: float) -> NDArray[np.float32]:
    """The probability whose log-odds are those of `probability` divided by the temperature; 0.5 stays 0.5.

    Above 1 it is less sure, below 1 surer; temper(p, 1 / T) undoes temper(p, T). Source: Guo et al. 2017,
    arXiv:1706.04599.
    """
    if temperature == 1.0:
        return np.asarray(probability, dtype=np.float32)
    return (1 / (1 + np.exp(-log_odds(probability) / temperature))).astype(np.float32)
