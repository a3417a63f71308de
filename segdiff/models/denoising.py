"""A denoiser with its diffusion: how it is trained, and how its chains are run."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from segdiff.diffusion import objectives, samplers
from segdiff.diffusion.noise import TrainingDraw
from segdiff.diffusion.process import read_table
from segdiff.diffusion.sampling import Sampling
from segdiff.diffusion.schedules import build_schedule
from segdiff.errors import ConfigError
from segdiff.models import losses
from segdiff.models.segmenter import Denoiser, NoiseMaps, Segmenter
from segdiff.models.shapes import to_blocks, to_pixels
from segdiff.models.views import dihedral, undo_dihedral

# Purposes of the numbers of a training draw; those of the d-th noise of an image begin at d * PURPOSES.
DRAW_TIME, DRAW_NOISE, DRAW_SCALE, DRAW_SELF, DRAW_RECYCLE = range(5)
PURPOSES = 16
GROUP_SIZE = 16
CONDITIONS = ("time", "log_snr")
MOST_DRAWS = 64
LOGITS = "logits"  # a network whose output the target's activation turns into x_0
PREDICTIONS = (*objectives.PREDICTIONS, LOGITS)


@dataclass(frozen=True)
class DiffusionSettings:
    """A choice of `conf/diffusion/`.

    Args:
        schedule, steps, signal_scale: see `segdiff.diffusion.schedules.build_schedule`.
        training_scales: (lowest, highest) signal scale of training, log-uniform for each sample; null: signal_scale.
        prediction: what the network says: epsilon, x_0, v, velocity (of flow matching) or logits (log-odds of x_0).
        condition: the network is told the index of the time, or the log of the signal-to-noise ratio.
        rescale_times: it is told t * 1000 / steps instead of t.
        weighting: of the squared error on the scale of x_0, and of the cross-entropy: uniform (as the prediction has
            it), min_snr or snr_plus_1.
        mse_weight, cross_entropy_weight, dice_weight: of the terms of the loss; cross-entropy needs logits.
        noise_draws: noisy masks that are trained on for each image, at one encoding.
        self_conditioning: share of samples that are shown their own first guess of x_0 (Chen et al. 2023,
            arXiv:2208.04202); above 0, sampling shows each step the last x_0. Networks that take none (the published
            one) are not shown any.
        recycling: share of samples that are trained as the second step of a chain: their x_t is a step of DDIM from
            the network's own x_0 at the noisiest time, which they are shown where there is self-conditioning (after
            Fu et al. 2023, arXiv:2308.16355).
    Raises:
        ConfigError: a value that cannot be, or that does not go with another.
    """

    schedule: str = "linear"
    steps: int = 100
    signal_scale: float = 1.0
    training_scales: tuple[float, ...] | None = None
    prediction: str = "epsilon"
    condition: str = "time"
    rescale_times: bool = False
    weighting: str = "uniform"
    mse_weight: float = 1.0
    cross_entropy_weight: float = 0.0
    dice_weight: float = 0.0
    noise_draws: int = 1
    self_conditioning: float = 0.0
    recycling: float = 0.0

    def __post_init__(self) -> None:
        choices = {"prediction": PREDICTIONS, "condition": CONDITIONS, "weighting": objectives.WEIGHTINGS}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ConfigError(f"diffusion.{name}={getattr(self, name)} is not known; known: {', '.join(known)}")
        weights = {name: getattr(self, name) for name in ("mse_weight", "cross_entropy_weight", "dice_weight")}
        for name, weight in weights.items():
            if not 0 <= weight < float("inf"):
                raise ConfigError(f"diffusion.{name}={weight}: it must be 0 or more")
        if not any(weights.values()):
            raise ConfigError(f"diffusion: one of {', '.join(weights)} must be above 0")
        if self.cross_entropy_weight and self.prediction != LOGITS:
            raise ConfigError(
                f"diffusion.cross_entropy_weight={self.cross_entropy_weight} needs diffusion.prediction=logits, "
                f"not {self.prediction}"
            )
        for name in ("self_conditioning", "recycling"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"diffusion.{name}={getattr(self, name)}: a share between 0 and 1 is needed")
        if not 1 <= self.noise_draws <= MOST_DRAWS:
            raise ConfigError(f"diffusion.noise_draws={self.noise_draws}: 1 to {MOST_DRAWS} is possible")
        if self.recycling and self.prediction not in ("x_0", LOGITS):
            raise ConfigError(
                f"diffusion.recycling={self.recycling} needs diffusion.prediction=x_0 or logits, not "
                f"{self.prediction}: the noise of a guess is not the noise that was drawn"
            )
        if self.training_scales is not None:
            scales = tuple(self.training_scales)
            object.__setattr__(self, "training_scales", scales)
            if len(scales) != 2 or not 0 < scales[0] <= scales[1] < float("inf"):
                raise ConfigError(f"diffusion.training_scales={list(scales)}: [lowest, highest], above 0, is needed")
            if self.condition != "log_snr" or self.schedule == "flow":
                raise ConfigError(
                    "diffusion.training_scales needs diffusion.condition=log_snr, which tells the network the scale, "
                    "and a schedule that preserves variance: linear or cosine"
                )


class DiffusionSegmenter(Segmenter):
    """A denoiser with its diffusion.

    Args:
        network: see `Denoiser`.
        settings: of the diffusion.
        learned_variance: the network predicts the variance, too.
    """

    def __init__(
        self,
        network: nn.Module,
        settings: DiffusionSettings,
        *,
        image_channels: int,
        mask_channels: int,
        learned_variance: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.schedule = build_schedule(settings.schedule, settings.steps, settings.signal_scale)
        self.image_channels, self.mask_channels = image_channels, mask_channels
        self.noise_draws = settings.noise_draws
        self.prediction = settings.prediction
        # What the output is once the target's activation has turned logits into x_0.
        self._read_as = "x_0" if settings.prediction == LOGITS else settings.prediction
        self.finest = getattr(network, "finest", 1)
        # A network that ignores what it is shown would cost a second pass for nothing.
        self.self_conditioning = settings.self_conditioning if getattr(network, "takes_previous", False) else 0.0
        self.learned_variance = learned_variance
        if learned_variance and (settings.training_scales or settings.prediction == LOGITS):
            raise ConfigError("model.learned_variance goes with neither training_scales nor prediction=logits")
        self._unscaled = build_schedule(settings.schedule, settings.steps)

    @property
    def size_multiple(self) -> int:  # type: ignore[override]
        """Height and width must be multiples of this."""
        return self._denoiser.size_multiple

    @property
    def packed(self) -> int:
        """The side of the blocks of pixels that the network takes as channels; 1 of one that takes pixels alone."""
        return int(getattr(self.network, "packed", 1))

    @property
    def _denoiser(self) -> Denoiser:
        """The network by what it can do, for the type checker: it is a module and a `Denoiser`."""
        return cast(Denoiser, self.network)

    def loss(self, image: Tensor, mask: Tensor, draw: TrainingDraw) -> dict[str, Tensor]:
        """The weighted terms of the settings, with the variational one of a learned variance.

        Source: Ho et al. 2020, eq. 14; Nichol and Dhariwal 2021, eq. 16.
        """
        settings = self.settings
        features = self._denoiser.encode(image)
        truth = losses.per_draw(mask, settings.noise_draws)
        mask = truth[: len(image)]
        t = self._per_draw(lambda base: draw.integers(settings.steps, base + DRAW_TIME))
        epsilon = self._noise(draw, DRAW_NOISE, mask)
        schedule = self._schedules(draw)
        alpha, sigma = (read_table(table, t, mask) for table in schedule)
        x_t = alpha * truth + sigma * epsilon
        told = self._told(t, schedule).to(mask.device)
        previous = None
        if self.self_conditioning:
            coins = self._coins(draw, DRAW_SELF, self.self_conditioning, mask)
            previous = self._guess(x_t, told, features, alpha, sigma)[0] * coins
        if settings.recycling:
            first = torch.full_like(t, settings.steps - 1)
            start = [read_table(table, first, mask) for table in schedule]
            x_T = start[0] * truth + start[1] * epsilon
            x_0, noise = self._guess(x_T, self._told(first, schedule).to(mask.device), features, *start)
            coins = self._coins(draw, DRAW_RECYCLE, settings.recycling, mask)
            x_t = torch.where(coins > 0, alpha * x_0 + sigma * noise, x_t)
            if previous is not None:
                previous = torch.where(coins > 0, x_0, previous)
        said = self._denoiser(x_t, told, features, previous).float()
        output, spread = said.chunk(2, 1) if self.learned_variance else (said, None)
        terms: dict[str, Tensor] = {}
        if settings.mse_weight:
            wanted = objectives.target_of(truth, epsilon, alpha, sigma, self._read_as)
            factor = objectives.loss_weight(settings.weighting, self._read_as, alpha, sigma)
            terms["mse"] = objectives.mean_squared_error(self._activated(output), wanted) * factor
        if spread is not None:
            x_0 = self._x_0(output.detach(), x_t, alpha, sigma)
            terms["variational"] = objectives.variational_term(truth, x_t, x_0, (spread + 1) / 2, t, self.schedule)
        if settings.cross_entropy_weight:
            factor = objectives.loss_weight(settings.weighting, "x_0", alpha, sigma)
            terms["cross_entropy"] = self.target.cross_entropy(output, truth) * factor
        if settings.dice_weight:
            terms["dice"] = self.target.soft_dice(self._x_0(output, x_t, alpha, sigma), truth)
        return losses.total(terms, weights_of(settings))

    def _activated(self, output: Tensor) -> Tensor:
        """The output, or x_0 where it is logits."""
        return self.target.activate(output) if self.prediction == LOGITS else output

    def _x_0(self, output: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """x_0, whatever the network predicts."""
        return objectives.to_x_0_and_epsilon(self._activated(output), x_t, alpha, sigma, self._read_as)[0]

    def _per_draw(self, read: Any) -> Tensor:
        """(draws * N,), draw-major: what `read(base)` gives for each noise draw's purposes."""
        draws = [read(PURPOSES * d) for d in range(self.settings.noise_draws)]
        return torch.from_numpy(np.concatenate(draws))

    def _noise(self, draw: TrainingDraw, purpose: int, mask: Tensor) -> Tensor:
        return self._per_draw(lambda base: draw.normal(mask.shape[1:], base + purpose)).to(mask.device)

    def _coins(self, draw: TrainingDraw, purpose: int, share: float, mask: Tensor) -> Tensor:
        """(draws * N, 1, 1, 1): 1 for that share of samples, else 0."""
        coins = self._per_draw(lambda base: draw.uniform(base + purpose)) < share
        return coins.to(mask.device, mask.dtype).view(-1, 1, 1, 1)

    def _schedules(self, draw: TrainingDraw) -> tuple[Tensor, Tensor]:
        """alpha and sigma over all times, float64: (1, T), or (draws * N, T) where each sample has its own scale."""
        scales = self.settings.training_scales
        if scales is None:
            return torch.from_numpy(self.schedule.alpha)[None], torch.from_numpy(self.schedule.sigma)[None]
        low, high = scales
        uniform = self._per_draw(lambda base: draw.uniform(base + DRAW_SCALE))
        signal = (low * (high / low) ** uniform)[:, None] * torch.from_numpy(self._unscaled.alpha)[None]
        noise = torch.from_numpy(self._unscaled.sigma)[None]
        norm = torch.sqrt(signal**2 + noise**2)
        return signal / norm, noise / norm

    @torch.no_grad()
    def _guess(self, x_t: Tensor, told: Tensor, features: Any, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """x_0, clipped, and the epsilon that goes with it, as the network says them with nothing to go by but x_t."""
        said = self._denoiser(x_t, told, features, None).float()
        output = said.chunk(2, 1)[0] if self.learned_variance else said
        # Weights that autocast cast while no gradient was wanted must not serve the pass that wants one.
        torch.clear_autocast_cache()
        x_0 = self._x_0(output, x_t, alpha, sigma).clamp(-1, 1)
        return x_0, objectives.epsilon_from_x_0(x_t, x_0, alpha, sigma)

    def _told(self, t: Tensor, schedule: tuple[Tensor, Tensor]) -> Tensor:
        """What the network is told of times (B,): float32 (B,) or, of plain indices, int64."""
        if self.settings.condition == "log_snr":
            alpha, sigma = (read_table(table, t, t.double()) for table in schedule)
            return objectives.log_snr(alpha, sigma).float()
        return t * (1000 / self.settings.steps) if self.settings.rescale_times else t

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
        together = max(1, (group_size or GROUP_SIZE) // len(image))
        # Chains of different views see different features: a group holds whole rounds of views, each run by itself.
        together = views * max(1, together // views)
        for first in range(0, sampling.chains, together):
            chains = range(first, min(first + together, sampling.chains))
            soft = image.new_empty((len(chains), len(image), self.mask_channels, *image.shape[2:]), dtype=torch.float32)
            for view in range(min(views, len(chains))):
                x_0 = self._run(chains[view::views], view, features[view], noise, sampling, times, image)
                soft[view::views] = undo_dihedral(x_0, view).unflatten(0, (-1, len(image)))
            yield soft.add_(1).div_(2)

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
        draws = len(times) if sampling.draws_noise else 1
        # All noise of the group in one block, moved at once: a step waits for nothing from the host.
        shape = (draws, len(chains), len(image), self.mask_channels, *image.shape[2:])
        host = torch.empty(shape, pin_memory=image.device.type == "cuda")

        filled = host.numpy()  # not tensors: the mode of inference is a thread's own

        def make(place: tuple[int, ...]) -> None:
            draw, k = place
            filled[draw, k] = noise(chains[k], draw).numpy()

        with ThreadPoolExecutor(torch.get_num_threads()) as threads:
            list(threads.map(make, np.ndindex(draws, len(chains))))
        maps = [
            to_blocks(dihedral(one.flatten(0, 1), view), self.packed)
            for one in host.to(image.device, non_blocking=True)
        ]

        def denoise(x_t: Tensor, t: int, previous: Tensor | None) -> samplers.Denoised:
            shown = previous if self.self_conditioning else None
            said = self._denoiser(x_t, self._number(t), features, shown).float()
            output, spread = said.chunk(2, 1) if self.learned_variance else (said, None)
            alpha, sigma = float(self.schedule.alpha[t]), float(self.schedule.sigma[t])
            fraction = None if spread is None else (spread + 1) / 2
            if self.prediction == LOGITS:
                return samplers.Denoised(self.target.soft_mask(output).mul_(2).sub_(1), None, fraction)
            x_0, epsilon = objectives.to_x_0_and_epsilon(output, x_t, alpha, sigma, self._read_as)
            return samplers.Denoised(x_0, epsilon, fraction)

        # What logits become lies within [-1, 1].
        clip = sampling.clip and self.prediction != LOGITS
        x_0 = sampler_of(sampling)(denoise, maps[0], self.schedule, times, noise=lambda k: maps[k + 1], clip=clip)
        return to_pixels(x_0, self.packed)

    def _number(self, t: int) -> float:
        """What the network is told of one time."""
        if self.settings.condition == "log_snr":
            return objectives.log_snr_at(self.schedule, t)
        return t * (1000 / self.settings.steps) if self.settings.rescale_times else t


def weights_of(settings: DiffusionSettings) -> dict[str, float]:
    """The weights of the terms of a loss by their names."""
    return {"mse": settings.mse_weight, "cross_entropy": settings.cross_entropy_weight, "dice": settings.dice_weight}


def sampler_of(sampling: Sampling) -> Any:
    """The sampler that the settings name, with its own settings."""
    options: dict[str, dict[str, Any]] = {"ddpm": {"variance": sampling.variance}, "ddim": {"eta": sampling.eta}}
    return partial(samplers.SAMPLERS[sampling.sampler], **options.get(sampling.sampler, {}))
