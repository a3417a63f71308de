"""The loss that is minimised: a weighted sum of terms, which diffusion models and plain networks share."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def total(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> dict[str, Tensor]:
    """The terms, each the mean over samples, and their weighted sum as "loss"."""
    means = {name: term.mean() for name, term in terms.items()}
    weighted = [means[name] * weights.get(name, 1.0) for name in means]
    return {"loss": sum(weighted[1:], weighted[0]), **means}
