"""The loss that is minimised: a weighted sum of terms, which diffusion models and plain networks share."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from segdiff.errors import ShapeError


def per_draw(mask: Tensor, draws: int) -> Tensor:
    """Give the truth of each noise draw of each image, draw-major: (draws * N, M, H, W).

    mask: (N, M, H, W), the same for all draws, or (N, draws, M, H, W). ShapeError for another number of them.
    """
    if mask.ndim == 4:
        return mask.repeat(draws, 1, 1, 1)
    if mask.shape[1] != draws:
        raise ShapeError(f"masks of {mask.shape[1]} raters for each image, and diffusion.noise_draws={draws}")
    return mask.transpose(0, 1).flatten(0, 1)


def total(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> dict[str, Tensor]:
    """The terms, each the mean over samples, and their weighted sum as "loss"."""
    means = {name: term.mean() for name, term in terms.items()}
    weighted = [means[name] * weights.get(name, 1.0) for name in means]
    return {"loss": sum(weighted[1:], weighted[0]), **means}
