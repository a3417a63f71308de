"""The moving average of the weights, which is what predicts."""

from __future__ import annotations

import copy

import torch
from torch import nn


class MovingAverage:
    """A second copy of a model, an exponential moving average of its parameters (and fractional buffers).

    The decay warms up as min(decay, (1 + step) / (10 + step)): with the published 0.9999 from the first step on, the
    average is still mostly the random start after ten thousand steps.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards `model` after step number `step` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for average, weight in zip(self.model.parameters(), model.parameters(), strict=True):
            average.lerp_(weight, 1 - decay)
        for mine, theirs in zip(self.model.buffers(), model.buffers(), strict=True):
            if mine.is_floating_point():  # the statistics of batch norm belong to the weights they were seen with
                mine.lerp_(theirs, 1 - decay)
            else:
                mine.copy_(theirs)
