"""The forward process and its posterior, for any pair of times of any schedule.

All formulas hold for x_t = alpha_t x_0 + sigma_t epsilon; for a variance-preserving schedule and neighbouring times
they are eq. 4 and 6-7 of Ho et al. 2020 (arXiv:2006.11239).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from segdiff.diffusion.schedules import NoiseSchedule


def read_table(table: Tensor, t: Tensor, like: Tensor) -> Tensor:
    """Entries of a table at times t as a tensor of shape (B, 1, ..., 1) in the type and on the device of `like`.

    table: float64 (1, T), or (B, T) where each entry has its own; t: int64, shape (B,). Read in float64, cast once.
    """
    index = t.cpu()
    values = table[0][index] if len(table) == 1 else table.gather(1, index[:, None])[:, 0]
    return values.to(like.device, like.dtype).view((-1,) + (1,) * (like.ndim - 1))


def gather(schedule: NoiseSchedule, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """alpha(t) and sigma(t) of a schedule as `read_table` gives them."""
    alpha, sigma = (read_table(torch.from_numpy(table)[None], t, like) for table in (schedule.alpha, schedule.sigma))
    return alpha, sigma


def diffuse(x_0: Tensor, epsilon: Tensor, t: Tensor, schedule: NoiseSchedule) -> Tensor:
    """x_t of a mask x_0 (B, M, H, W), noise of the same shape and t int64 (B,)."""
    alpha, sigma = gather(schedule, t, x_0)
    return alpha * x_0 + sigma * epsilon


@dataclass(frozen=True)
class Transition:
    """One step back, from time t to s < t (s = -1: the clean mask), as numbers in double precision.

    mean of q(x_s | x_t, x_0) = mean_x_0 * x_0 + mean_x_t * x_t; `variance` is its variance (0 into the clean mask),
    `beta` the variance of q(x_t | x_s), which is 1 - abar_t / abar_s where variance is preserved.
    """

    alpha_t: float
    sigma_t: float
    alpha_s: float
    sigma_s: float
    mean_x_0: float
    mean_x_t: float
    variance: float
    beta: float


def transition(schedule: NoiseSchedule, t: int, s: int) -> Transition:
    """The step from t to s (-1 <= s < t)."""
    alpha_t, sigma_t = float(schedule.alpha[t]), float(schedule.sigma[t])
    alpha_s, sigma_s = (1.0, 0.0) if s < 0 else (float(schedule.alpha[s]), float(schedule.sigma[s]))
    ratio = alpha_t / alpha_s
    beta = sigma_t**2 - (ratio * sigma_s) ** 2
    return Transition(
        alpha_t,
        sigma_t,
        alpha_s,
        sigma_s,
        mean_x_0=alpha_s * beta / sigma_t**2,
        mean_x_t=ratio * sigma_s**2 / sigma_t**2,
        variance=beta * sigma_s**2 / sigma_t**2,
        beta=beta,
    )


def posterior(x_0: Tensor, x_t: Tensor, t: int, schedule: NoiseSchedule, s: int | None = None) -> tuple[Tensor, float]:
    """Mean (shape of x_t) and variance of q(x_s | x_t, x_0); s is t - 1 unless given, -1 is the clean mask."""
    step = transition(schedule, t, t - 1 if s is None else s)
    return step.mean_x_0 * x_0 + step.mean_x_t * x_t, step.variance
