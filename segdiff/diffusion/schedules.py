"""Noise schedules as two float64 tables, and the published tables that follow from them.

Source: Ho et al. 2020 (arXiv:2006.11239, linear), Nichol and Dhariwal 2021 (arXiv:2102.09672, cosine, eq. 17).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from segdiff.errors import ConfigError

Table = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """x_t = alpha(t) x_0 + sigma(t) epsilon for t = 0 (least noise) .. steps - 1 (most noise).

    Args:
        alpha, sigma: float64, shape (steps,). alpha falls and sigma grows with t. The schedule preserves variance
            where alpha^2 + sigma^2 = 1; the tables of betas and posteriors exist only there.
        signal_scale: the factor s that was applied to the mask (see `scaled`), kept for the record.
    Raises:
        ConfigError: the tables are not two equally long rows of at least 2 numbers with alpha > 0.
    """

    alpha: Table
    sigma: Table
    signal_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.alpha.shape != self.sigma.shape or self.alpha.ndim != 1 or len(self.alpha) < 2:
            raise ConfigError("a schedule needs two tables of the same length, 2 or more")
        if not (np.all(self.alpha > 0) and np.all(self.sigma >= 0)):
            raise ConfigError("a schedule needs alpha > 0 and sigma >= 0 at every step")

    @property
    def steps(self) -> int:
        """Number of steps T."""
        return len(self.alpha)

    def scaled(self, signal_scale: float) -> NoiseSchedule:
        """The schedule that a mask multiplied by `signal_scale` sees, renormalised to unit variance.

        abar' = s^2 abar / (1 + (s^2 - 1) abar), for a variance-preserving schedule; s < 1 hides the mask sooner. Any
        other schedule becomes a variance-preserving one.
        Source: Chen et al. 2023, arXiv:2301.10972.
        """
        if not signal_scale > 0:
            raise ConfigError(f"signal_scale is {signal_scale}; it must be greater than 0")
        norm = np.sqrt((signal_scale * self.alpha) ** 2 + self.sigma**2)
        scale = self.signal_scale * signal_scale
        return NoiseSchedule(signal_scale * self.alpha / norm, self.sigma / norm, scale)

    # Published tables. Index t everywhere; all float64, shape (steps,).

    @cached_property
    def alphas_cumprod(self) -> Table:
        """abar(t) = alpha(t)^2."""
        if not np.allclose(self.alpha**2 + self.sigma**2, 1.0, rtol=0, atol=1e-12):
            raise ConfigError("alphas_cumprod exists only for a schedule with alpha^2 + sigma^2 = 1")
        return self.alpha**2

    @cached_property
    def alphas_cumprod_prev(self) -> Table:
        """abar(t - 1), with 1 before the first step."""
        return np.append(1.0, self.alphas_cumprod[:-1])

    @cached_property
    def alphas_cumprod_next(self) -> Table:
        """abar(t + 1), with 0 after the last step."""
        return np.append(self.alphas_cumprod[1:], 0.0)

    @cached_property
    def betas(self) -> Table:
        """beta(t) = 1 - abar(t) / abar(t - 1)."""
        return 1.0 - self.alphas_cumprod / self.alphas_cumprod_prev

    @cached_property
    def sqrt_alphas_cumprod(self) -> Table:
        return np.sqrt(self.alphas_cumprod)

    @cached_property
    def sqrt_one_minus_alphas_cumprod(self) -> Table:
        return np.sqrt(1.0 - self.alphas_cumprod)

    @cached_property
    def log_one_minus_alphas_cumprod(self) -> Table:
        return np.log(1.0 - self.alphas_cumprod)

    @cached_property
    def sqrt_recip_alphas_cumprod(self) -> Table:
        return np.sqrt(1.0 / self.alphas_cumprod)

    @cached_property
    def sqrt_recipm1_alphas_cumprod(self) -> Table:
        return np.sqrt(1.0 / self.alphas_cumprod - 1.0)

    @cached_property
    def posterior_variance(self) -> Table:
        """Variance of q(x_{t-1} | x_t, x_0): beta(t) (1 - abar(t-1)) / (1 - abar(t)); 0 at t = 0."""
        return self.betas * (1.0 - self.alphas_cumprod_prev) / (1.0 - self.alphas_cumprod)

    @cached_property
    def posterior_log_variance_clipped(self) -> Table:
        """log of `posterior_variance`, entry 0 (log 0) replaced by entry 1."""
        return np.log(np.append(self.posterior_variance[1], self.posterior_variance[1:]))

    @cached_property
    def posterior_mean_coef1(self) -> Table:
        """Factor of x_0 in the mean of q(x_{t-1} | x_t, x_0)."""
        return self.betas * np.sqrt(self.alphas_cumprod_prev) / (1.0 - self.alphas_cumprod)

    @cached_property
    def posterior_mean_coef2(self) -> Table:
        """Factor of x_t in the mean of q(x_{t-1} | x_t, x_0)."""
        return (1.0 - self.alphas_cumprod_prev) * np.sqrt(1.0 - self.betas) / (1.0 - self.alphas_cumprod)

    @cached_property
    def fixed_large_variance(self) -> Table:
        """betas, entry 0 replaced by posterior_variance[1]: the variance of every published preset."""
        return np.append(self.posterior_variance[1], self.betas[1:])

    @cached_property
    def fixed_large_log_variance(self) -> Table:
        return np.log(self.fixed_large_variance)


def from_betas(betas: Table) -> NoiseSchedule:
    """The schedule of a row of betas, each in (0, 1)."""
    abar = np.cumprod(1.0 - np.asarray(betas, dtype=np.float64))
    return NoiseSchedule(np.sqrt(abar), np.sqrt(1.0 - abar))


def linear_schedule(steps: int) -> NoiseSchedule:
    """beta evenly from 0.1/steps to 20/steps: 0.001 .. 0.2 for the published 100 steps.

    Raises:
        ConfigError: steps <= 20, where the last beta would reach 1 and the last x_t hold no mask at all.
    """
    if steps <= 20:
        raise ConfigError(
            f"linear_schedule({steps}): its last beta is 20/steps and must stay below 1; "
            "use 21 steps or more, or cosine_schedule"
        )
    return from_betas(np.linspace(1000 / steps * 1e-4, 1000 / steps * 0.02, steps, dtype=np.float64))


def cosine_schedule(steps: int) -> NoiseSchedule:
    """abar(u) proportional to cos^2((u + 0.008) / 1.008 * pi / 2), betas capped at 0.999 (from 2 steps on)."""
    if steps < 2:
        raise ConfigError(f"cosine_schedule({steps}): needs 2 steps or more")

    def abar(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = [min(1 - abar((i + 1) / steps) / abar(i / steps), 0.999) for i in range(steps)]
    return from_betas(np.array(betas, dtype=np.float64))


def flow_schedule(steps: int) -> NoiseSchedule:
    """Flow matching: alpha = 1 - u, sigma = u at u = (t + 1) / (steps + 1), so that no end is reached.

    Source: Lipman et al. 2023, arXiv:2210.02747, eq. 22-23 with sigma_min = 0; Liu et al. 2023, arXiv:2209.03003.
    """
    if steps < 2:
        raise ConfigError(f"flow_schedule({steps}): needs 2 steps or more")
    u = np.arange(1, steps + 1, dtype=np.float64) / (steps + 1)
    return NoiseSchedule(1.0 - u, u)


MOST_STEPS = 100_000  # of a table; published ones have 1000

SCHEDULES = {"linear": linear_schedule, "cosine": cosine_schedule, "flow": flow_schedule}


def build_schedule(kind: str, steps: int, signal_scale: float = 1.0) -> NoiseSchedule:
    """The schedule that a configuration names.

    Raises:
        ConfigError: an unknown kind, or a number of steps that the kind does not admit.
    """
    if kind not in SCHEDULES:
        raise ConfigError(f"diffusion.schedule={kind} is not known; known: {', '.join(SCHEDULES)}")
    if steps > MOST_STEPS:
        raise ConfigError(f"diffusion.steps={steps}: at most {MOST_STEPS} are possible")
    schedule = SCHEDULES[kind](steps)
    return schedule if signal_scale == 1.0 else schedule.scaled(signal_scale)
