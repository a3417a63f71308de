"""Samplers: plain functions over a closure. Nothing is drawn inside, so a chain can be replayed from a recording.

    x_0 = sampler(denoise, x_T, schedule, times, noise=noise, clip=clip, ...)

`denoise(x_t, t, previous)` gives a `Denoised`; `times` is the descending list of visited indices, a respaced chain
being just a shorter list (beta(t|s) = 1 - abar_t / abar_s); `noise(k)` is the noise of the k-th evaluation, shape of
x_T, and is not asked for at the last one, which returns x_0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor

from segdiff.diffusion.objectives import epsilon_from_x_0
from segdiff.diffusion.process import Transition, transition
from segdiff.diffusion.schedules import NoiseSchedule
from segdiff.errors import ConfigError


class Denoised(NamedTuple):
    """One evaluation. An `epsilon` of None is the one that goes with x_0; samplers find it where they need it.

    `variance_fraction` f in [0, 1] says log-variance = f log(beta) + (1 - f) log(posterior).

    It is the fraction, not the log-variance, because the bounds depend on the step's other end, which a closure over
    (x_t, t) does not know: so one network serves every respaced chain.
    """

    x_0: Tensor
    epsilon: Tensor | None = None
    variance_fraction: Tensor | None = None


Denoise = Callable[[Tensor, int, Tensor | None], Denoised]
Noise = Callable[[int], Tensor]
Watch = Callable[[int, Tensor, Tensor], None]


def ddpm(
    denoise: Denoise,
    x_T: Tensor,
    schedule: NoiseSchedule,
    times: Sequence[int],
    *,
    noise: Noise,
    clip: bool = False,
    variance: str = "large",
    watch: Watch | None = None,
) -> Tensor:
    """Ancestral sampling: Ho et al. 2020 (arXiv:2006.11239), algorithm 2, over any descending list of times.

    Args:
        x_T: (B, M, H, W), at times[0].
        clip: clip x_0 to [-1, 1] before the posterior mean.
        variance: "large" (beta), "small" (posterior variance) or "learned" (the network's fraction between them).
        watch: called with (k, x after evaluation k, x_0 of evaluation k).
    Returns:
        x_0 of the last evaluation, (B, M, H, W).
    """

    def advance(k: int, step: Transition, x: Tensor, x_0: Tensor, said: Denoised, previous: Tensor | None) -> Tensor:
        deviation = _deviation(step, variance, said.variance_fraction)
        return step.mean_x_0 * x_0 + step.mean_x_t * x + deviation * noise(k)

    return _walk(denoise, x_T, schedule, times, clip, watch, advance)


def ddim(
    denoise: Denoise,
    x_T: Tensor,
    schedule: NoiseSchedule,
    times: Sequence[int],
    *,
    noise: Noise | None = None,
    clip: bool = False,
    eta: float = 0.0,
    watch: Watch | None = None,
) -> Tensor:
    """DDIM: Song et al. 2021 (arXiv:2010.02502), eq. 12 and 16; arguments as `ddpm`, `noise` only where eta > 0.

    A clipped x_0 changes epsilon with it, so that x_t = alpha x_0 + sigma epsilon stays true.
    """
    if eta > 0 and noise is None:
        raise ConfigError("ddim with eta > 0 needs noise")

    def advance(k: int, step: Transition, x: Tensor, x_0: Tensor, said: Denoised, previous: Tensor | None) -> Tensor:
        deviation = eta * math.sqrt(step.variance)
        direction = math.sqrt(max(step.sigma_s**2 - deviation**2, 0.0))
        if _follows(said, x_0):  # epsilon = (x - alpha_t x_0) / sigma_t, put in
            share = direction / step.sigma_t
            x = (x_0 * (step.alpha_s - share * step.alpha_t)).add_(x, alpha=share)
        else:
            x = step.alpha_s * x_0 + direction * cast(Tensor, said.epsilon)
        return x + deviation * noise(k) if eta > 0 and noise is not None else x

    return _walk(denoise, x_T, schedule, times, clip, watch, advance)


def dpmpp_2m(
    denoise: Denoise,
    x_T: Tensor,
    schedule: NoiseSchedule,
    times: Sequence[int],
    *,
    noise: Noise | None = None,
    clip: bool = False,
    watch: Watch | None = None,
) -> Tensor:
    """DPM-Solver++(2M): Lu et al. 2022 (arXiv:2211.01095), algorithm 2; second order, one evaluation a step.

    The first step, with nothing to extrapolate from, is DDIM's. Arguments as `ddpm`; no noise is used.
    """

    last_h = 0.0

    def advance(k: int, step: Transition, x: Tensor, x_0: Tensor, said: Denoised, previous: Tensor | None) -> Tensor:
        nonlocal last_h
        h = math.log(step.alpha_s / step.sigma_s) - math.log(step.alpha_t / step.sigma_t)
        ahead = x_0 if previous is None else x_0 + (x_0 - previous) * (h / (2 * last_h))
        last_h = h
        return (step.sigma_s / step.sigma_t) * x - step.alpha_s * math.expm1(-h) * ahead

    return _walk(denoise, x_T, schedule, times, clip, watch, advance)


def heun(
    denoise: Denoise,
    x_T: Tensor,
    schedule: NoiseSchedule,
    times: Sequence[int],
    *,
    noise: Noise | None = None,
    clip: bool = False,
    watch: Watch | None = None,
) -> Tensor:
    """Heun's method: Karras et al. 2022 (arXiv:2206.00364), algorithm 1; second order, two evaluations a step.

    It integrates x / alpha over sigma / alpha, whose derivative is epsilon. The last step, into the clean mask, is one
    evaluation. Arguments as `ddpm`; no noise is used; `watch` sees the end of each step.
    """

    def advance(k: int, step: Transition, x: Tensor, x_0: Tensor, said: Denoised, previous: Tensor | None) -> Tensor:
        epsilon = _epsilon(said, x_0, x, step.alpha_t, step.sigma_t)
        distance = step.sigma_s / step.alpha_s - step.sigma_t / step.alpha_t
        start = x / step.alpha_t
        there = step.alpha_s * (start + distance * epsilon)
        said_there = denoise(there, times[k + 1], x_0)
        epsilon_there = _epsilon(said_there, _clean(said_there, clip), there, step.alpha_s, step.sigma_s)
        return step.alpha_s * (start + distance * (epsilon + epsilon_there) / 2)

    return _walk(denoise, x_T, schedule, times, clip, watch, advance)


def mean(
    denoise: Denoise,
    x_T: Tensor,
    schedule: NoiseSchedule,
    times: Sequence[int],
    *,
    noise: Noise | None = None,
    clip: bool = False,
    watch: Watch | None = None,
) -> Tensor:
    """The one-step mean: x_0 as it is said at the first time, where x_t holds next to nothing of a mask.

    Of an exact denoiser that is the mean of all masks of the image, so that its chains do not differ. Arguments as
    `ddpm`; only times[0] is visited.
    """
    return ddim(denoise, x_T, schedule, times[:1], clip=clip, watch=watch)


SAMPLERS: dict[str, Callable[..., Tensor]] = {
    "ddpm": ddpm,
    "ddim": ddim,
    "dpmpp_2m": dpmpp_2m,
    "heun": heun,
    "mean": mean,
}


# (k, step, x_t, x_0, what was said, the x_0 before) -> x at the end of a step that is not the last.
Advance = Callable[[int, Transition, Tensor, Tensor, Denoised, "Tensor | None"], Tensor]


def _walk(
    denoise: Denoise,
    x_T: Tensor,
    schedule: NoiseSchedule,
    times: Sequence[int],
    clip: bool,
    watch: Watch | None,
    advance: Advance,
) -> Tensor:
    """What all samplers share: ask, go a step, and end with the last x_0."""
    steps = _transitions(schedule, times)
    x, previous = x_T, None
    for k, (t, step) in enumerate(zip(times, steps, strict=True)):
        said = denoise(x, t, previous)
        x_0 = _clean(said, clip)
        x = x_0 if k + 1 == len(steps) else advance(k, step, x, x_0, said, previous)
        previous = x_0
        if watch is not None:
            watch(k, x, x_0)
    return x


def _clean(said: Denoised, clip: bool) -> Tensor:
    return said.x_0.clamp(-1, 1) if clip else said.x_0


def _follows(said: Denoised, x_0: Tensor) -> bool:
    """Whether epsilon is what goes with x_0: it was not said, or x_0 was clipped."""
    return said.epsilon is None or x_0 is not said.x_0


def _epsilon(said: Denoised, x_0: Tensor, x_t: Tensor, alpha: float, sigma: float) -> Tensor:
    """The epsilon that goes with this x_0: as it was said, unless it was not, or x_0 was clipped."""
    if said.epsilon is None or _follows(said, x_0):
        return epsilon_from_x_0(x_t, x_0, alpha, sigma)
    return said.epsilon


def _transitions(schedule: NoiseSchedule, times: Sequence[int]) -> list[Transition]:
    ends = [*times[1:], -1]
    if not times or any(not -1 <= s < t < schedule.steps for t, s in zip(times, ends, strict=True)):
        raise ConfigError(f"times must descend within 0..{schedule.steps - 1}; got {list(times)}")
    return [transition(schedule, t, s) for t, s in zip(times, ends, strict=True)]


def _deviation(step: Transition, variance: str, fraction: Tensor | None) -> float | Tensor:
    """Standard deviation of a step that is not the last."""
    if variance == "large":
        return math.sqrt(step.beta)
    if variance == "small":
        return math.sqrt(step.variance)
    if variance != "learned":
        raise ConfigError(f"variance {variance!r} is not known; known: large, small, learned")
    if fraction is None:
        raise ConfigError('variance "learned" needs a network that predicts it; this one does not')
    low, high = math.log(step.variance), math.log(step.beta)
    return torch.exp(0.5 * (fraction * high + (1 - fraction) * low))
