"""What training, inference and artifacts see of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from segdiff.diffusion import objectives, samplers
from segdiff.diffusion.noise import TrainingDraw
from segdiff.diffusion.process import diffuse, gather
from segdiff.diffusion.sampling import Sampling
from segdiff.diffusion.schedules import NoiseSchedule
from segdiff.errors import ConfigError
from segdiff.models.views import dihedral, undo_dihedral

DRAW_TIME, DRAW_NOISE = 0, 1  # purposes of the numbers of a training draw
GROUP_SIZE = 16
NoiseMaps = Callable[[int, int], Tensor]


class Denoiser(Protocol):
    """A network with a cached image; `segdiff.models.segdiff.SegDiff` is one."""

    size_multiple: int

    def encode(self, image: Tensor) -> Any: ...

    def __call__(self, x_t: Tensor, t: Any, features: Any, previous: Tensor | None = None) -> Tensor: ...


class Segmenter(nn.Module, ABC):
    """A trained or trainable model: a loss, and chains of soft masks.

    Attributes:
        image_channels, mask_channels: C of images and M of masks.
        size_multiple: height and width of what it is given must be multiples of this.
    """

    image_channels: int
    mask_channels: int
    size_multiple: int

    @abstractmethod
    def loss(self, image: Tensor, mask: Tensor, draw: TrainingDraw) -> dict[str, Tensor]:
        """Scalars, each the mean of terms of single samples; "loss" is what is minimised.

        image: float32 (N, C, H, W), normalised; mask: float32 (N, M, H, W), -1/+1; draw: the random numbers of these
        N samples.
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
                k + 1 that of evaluation k.
            sampling: with image and noise it determines the result.
            group_size: most entries (chains times images) in one call of the network; changes memory, not results.
        """


class DiffusionSegmenter(Segmenter):
    """A denoiser with its diffusion.

    Args:
        network: see `Denoiser`.
        schedule: of training; sampling visits some of its times.
        prediction: what the network says: "epsilon", "x_0" or "v".
        time_scale: factor of t before the network sees it: 1 as published, 1000 / T with "rescaled" times.
        dice_weight: weight of a soft Dice loss on x_0 beside the mean squared error (MONAI's DiceLoss); 0 for none.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: NoiseSchedule,
        *,
        image_channels: int,
        mask_channels: int,
        prediction: str = "epsilon",
        learned_variance: bool = False,
        time_scale: float = 1.0,
        dice_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.network = network
        self.schedule = schedule
        self.image_channels, self.mask_channels = image_channels, mask_channels
        self.prediction = objectives.check_prediction(prediction)
        self.learned_variance = learned_variance
        self.time_scale = time_scale
        self.dice_weight = dice_weight

    @property
    def size_multiple(self) -> int:  # type: ignore[override]
        """Height and width must be multiples of this."""
        return self._denoiser.size_multiple

    @property
    def _denoiser(self) -> Denoiser:
        """The network by what it can do, for the type checker: it is a module and a `Denoiser`."""
        return cast(Denoiser, self.network)

    def loss(self, image: Tensor, mask: Tensor, draw: TrainingDraw) -> dict[str, Tensor]:
        """The mean squared error of the prediction, with the variational term of a learned variance.

        Source: Ho et al. 2020, eq. 14; Nichol and Dhariwal 2021, eq. 16.
        """
        t = torch.from_numpy(draw.integers(self.schedule.steps, DRAW_TIME))
        epsilon = torch.from_numpy(draw.normal(mask.shape[1:], DRAW_NOISE)).to(mask.device)
        x_t = diffuse(mask, epsilon, t, self.schedule)
        alpha, sigma = gather(self.schedule, t, mask)
        said = self._denoiser(x_t, self._time(t.to(mask.device)), self._denoiser.encode(image)).float()
        output, spread = said.chunk(2, 1) if self.learned_variance else (said, None)
        target = objectives.target_of(mask, epsilon, alpha, sigma, self.prediction)
        terms = {"mse": objectives.mean_squared_error(output, target).mean()}
        total = terms["mse"]
        if spread is not None:
            x_0, _ = objectives.to_x_0_and_epsilon(output.detach(), x_t, alpha, sigma, self.prediction)
            bits = objectives.variational_term(mask, x_t, x_0, (spread + 1) / 2, t, self.schedule)
            terms["variational"] = bits.mean()
            total = total + terms["variational"]
        if self.dice_weight:
            x_0, _ = objectives.to_x_0_and_epsilon(output, x_t, alpha, sigma, self.prediction)
            terms["dice"] = soft_dice_loss(x_0, mask).mean()
            total = total + self.dice_weight * terms["dice"]
        return {"loss": total, **terms}

    def check(self, sampling: Sampling) -> None:
        """ConfigError for times that the schedule has not, or a variance that the network does not predict."""
        sampling.visited(self.schedule.steps)
        if sampling.sampler == "ddpm" and sampling.variance == "learned" and not self.learned_variance:
            raise ConfigError("sampling.variance=learned: this model predicts no variance; use large or small")

    @torch.no_grad()
    def sample(
        self, image: Tensor, noise: NoiseMaps, sampling: Sampling, group_size: int | None = None
    ) -> Iterator[Tensor]:
        """See `Segmenter.sample`. G runs once for each view, before the first group."""
        times = sampling.visited(self.schedule.steps)
        views = min(sampling.views, sampling.chains)
        features = [self._denoiser.encode(dihedral(image, view)) for view in range(views)]
        # Chains of different views see different features: they run one after the other.
        together = max(1, (group_size or GROUP_SIZE) // len(image)) if views == 1 else 1
        for first in range(0, sampling.chains, together):
            chains = range(first, min(first + together, sampling.chains))
            view = first % views
            x_0 = self._run(chains, view, features[view], noise, sampling, times, image)
            yield (undo_dihedral(x_0, view).unflatten(0, (len(chains), len(image))) + 1) / 2

    def _run(
        self,
        chains: range,
        view: int,
        features: Any,
        noise: NoiseMaps,
        sampling: Sampling,
        times: list[int],
        image: Tensor,
    ) -> Tensor:
        """The x_0 of a group of chains that share a view, in that view: (K * N, M, H, W)."""
        draws = 1 if sampling.sampler == "ddim" and sampling.eta == 0 else len(times)
        # All noise of the group in one block, moved at once: a step waits for nothing from the host.
        shape = (draws, len(chains), len(image), self.mask_channels, *image.shape[2:])
        host = torch.empty(shape, pin_memory=image.device.type == "cuda")
        for k, chain in enumerate(chains):
            for draw in range(draws):
                host[draw, k] = noise(chain, draw)
        maps = dihedral(host.to(image.device, non_blocking=True).flatten(1, 2), view)

        def denoise(x_t: Tensor, t: int, previous: Tensor | None) -> samplers.Denoised:
            said = self._denoiser(x_t, self._time(t), features, previous).float()
            output, spread = said.chunk(2, 1) if self.learned_variance else (said, None)
            alpha, sigma = float(self.schedule.alpha[t]), float(self.schedule.sigma[t])
            x_0, epsilon = objectives.to_x_0_and_epsilon(output, x_t, alpha, sigma, self.prediction)
            return samplers.Denoised(x_0, epsilon, None if spread is None else (spread + 1) / 2)

        run = (
            partial(samplers.ddim, eta=sampling.eta)
            if sampling.sampler == "ddim"
            else partial(samplers.ddpm, variance=sampling.variance)
        )
        return run(denoise, maps[0], self.schedule, times, noise=lambda k: maps[k + 1], clip=sampling.clip)

    def _time(self, t: Any) -> Any:
        return t if self.time_scale == 1.0 else t * self.time_scale


def soft_dice_loss(x_0: Tensor, mask: Tensor) -> Tensor:
    """1 - soft Dice of (x_0 + 1) / 2 clamped to [0, 1], for each sample: (N,)."""
    from monai.losses import DiceLoss  # some seconds to import: only for runs that use it

    per_channel = DiceLoss(reduction="none")((x_0.clamp(-1, 1) + 1) / 2, (mask + 1) / 2)
    return per_channel.flatten(1).mean(1)
