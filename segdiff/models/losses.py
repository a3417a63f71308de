"""How far a mask is from the truth: the terms that diffusion models and plain networks share."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor


def soft_dice_loss(x_0: Tensor, mask: Tensor) -> Tensor:
    """1 - soft Dice of (x_0 + 1) / 2 clamped to [0, 1], for each sample: (N,)."""
    from monai.losses.dice import DiceLoss  # some seconds to import: only for runs that use it

    per_channel = DiceLoss(reduction="none")((x_0.clamp(-1, 1) + 1) / 2, (mask + 1) / 2)
    return per_channel.flatten(1).mean(1)


def cross_entropy(log_odds: Tensor, mask: Tensor) -> Tensor:
    """Binary cross-entropy with a mask of -1/+1, the mean over channel and pixels of each sample: (N,)."""
    return F.binary_cross_entropy_with_logits(log_odds, (mask + 1) / 2, reduction="none").flatten(1).mean(1)


def total(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> dict[str, Tensor]:
    """The terms, each the mean over samples, and their weighted sum as "loss"."""
    means = {name: term.mean() for name, term in terms.items()}
    weighted = [means[name] * weights.get(name, 1.0) for name in means]
    return {"loss": sum(weighted[1:], weighted[0]), **means}
