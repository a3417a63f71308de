"""A network without diffusion behind the same contract: what a diffusion model has to be better than."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from segdiff.diffusion.noise import TrainingDraw
from segdiff.diffusion.objectives import mean_squared_error
from segdiff.diffusion.sampling import Sampling
from segdiff.models import losses
from segdiff.models.denoising import DiffusionSettings, weights_of
from segdiff.models.segmenter import NoiseMaps, Segmenter
from segdiff.models.views import dihedral, undo_dihedral


class PlainSegmenter(Segmenter):
    """A network that says the logits of the target, in one pass.

    Args:
        network: image (N, C, H, W) to logits (N, M, H, W); has `size_multiple`.
        settings: the weights of the loss are those of the diffusion models, so that both can be trained alike.
    """

    def __init__(
        self, network: nn.Module, settings: DiffusionSettings, *, image_channels: int, mask_channels: int
    ) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.image_channels, self.mask_channels = image_channels, mask_channels
        self.noise_draws = settings.noise_draws  # masks of several raters, at one pass

    @property
    def size_multiple(self) -> int:  # type: ignore[override]
        """Height and width must be multiples of this."""
        return int(cast(Any, self.network).size_multiple)

    def loss(self, image: Tensor, mask: Tensor, draw: TrainingDraw) -> dict[str, Tensor]:
        """Squared error of x_0, cross-entropy and soft Dice, weighted by the settings."""
        draws = mask.shape[1] if mask.ndim == 5 else 1
        mask = losses.per_draw(mask, draws)
        logits = self.network(image).float().repeat(draws, 1, 1, 1)
        x_0 = self.target.activate(logits)
        terms: dict[str, Tensor] = {}
        if self.settings.mse_weight:
            terms["mse"] = mean_squared_error(x_0, mask)
        if self.settings.cross_entropy_weight:
            terms["cross_entropy"] = self.target.cross_entropy(logits, mask)
        if self.settings.dice_weight:
            terms["dice"] = self.target.soft_dice(x_0, mask)
        return losses.total(terms, weights_of(self.settings))

    @torch.no_grad()
    def sample(
        self, image: Tensor, noise: NoiseMaps, sampling: Sampling, group_size: int | None = None
    ) -> Iterator[Tensor]:
        """One member for each dihedral view; chains, steps and noise mean nothing here."""
        for view in range(sampling.views):
            logits = self.network(dihedral(image, view)).float()
            yield undo_dihedral(self.target.soft_mask(logits), view)[None]
