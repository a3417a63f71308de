"""What training, inference and artifacts see of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from torch import Tensor, nn

from segdiff.diffusion.noise import TrainingDraw
from segdiff.diffusion.sampling import Sampling
from segdiff.targets.base import Target
from segdiff.targets.mask import MaskTarget

NoiseMaps = Callable[[int, int], Tensor]


class Denoiser(Protocol):
    """A network with a cached image; `segdiff.models.segdiff.SegDiff` and `segdiff.models.fast.FastSegDiff` are."""

    size_multiple: int

    def encode(self, image: Tensor) -> Any: ...

    def __call__(self, x_t: Tensor, t: Any, features: Any, previous: Tensor | None = None) -> Tensor: ...


class Segmenter(nn.Module, ABC):
    """A trained or trainable model: a loss, and chains of soft masks.

    Attributes:
        target: what it predicts.
        image_channels, mask_channels: C of images and M of masks.
        size_multiple: height and width of what it is given must be multiples of this.
        noise_draws: so many masks of an image are trained on at one encoding.
        finest: its chains are computed at 1 / finest of the size of the image; decides how many run at a time.
    """

    target: Target = MaskTarget()
    noise_draws: int = 1
    finest: int = 1
    image_channels: int
    mask_channels: int
    size_multiple: int

    @abstractmethod
    def loss(self, image: Tensor, mask: Tensor, draw: TrainingDraw) -> dict[str, Tensor]:
        """Scalars, each the mean of terms of single samples; "loss" is what is minimised.

        image: float32 (N, C, H, W), normalised; mask: float32 (N, M, H, W), -1/+1, or (N, D, M, H, W), one for each of
        the D noise draws, such as those of several raters; draw: the random numbers of these N samples.
        """

    def check(self, sampling: Sampling) -> None:
        """Raise ConfigError where this model cannot sample so: found before any work. Most can do anything."""

    @abstractmethod
    def sample(
        self, image: Tensor, noise: NoiseMaps, sampling: Sampling, group_size: int | None = None
    ) -> Iterator[Tensor]:
        """Groups of chains, in order: each (k, N, M, H, W) soft masks (x_0 + 1) / 2, not clamped.

        Args:
            image: float32 (N, C, H, W), normalised.
            noise: (chain, draw) to the noise of all N images, float32 (N, M, H, W) on the CPU: draw 0 is x_T, draw
                k + 1 that of evaluation k. Several threads may call it at once.
            sampling: with image and noise it determines the result.
            group_size: most entries (chains times images) in one call of the network; changes memory, not results.
        """
