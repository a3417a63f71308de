"""The deterministic solvers against recursions written from their papers, the orders that they claim, and diffusers."""

import math

import numpy as np
import pytest
import torch

from segdiff.diffusion import samplers
from segdiff.diffusion.schedules import NoiseSchedule, cosine_schedule, flow_schedule, linear_schedule
from segdiff.diffusion.timesteps import trailing

MEAN, DEVIATION = 0.3, 0.2
SCHEDULES = {
    "linear": linear_schedule(1000),
    "cosine": cosine_schedule(1000),
    "flow": flow_schedule(1000),
    "scaled": cosine_schedule(1000).scaled(0.1),
}


def gain(alpha, sigma):
    return alpha * DEVIATION**2 / (alpha**2 * DEVIATION**2 + sigma**2)


def denoiser(schedule):
    """The exact one of N(MEAN, DEVIATION^2)."""

    def denoise(x_t, t, previous):
        alpha, sigma = float(schedule.alpha[t]), float(schedule.sigma[t])
        x_0 = MEAN + gain(alpha, sigma) * (x_t - alpha * MEAN)
        return samplers.Denoised(x_0, (x_t - alpha * x_0) / sigma)

    return denoise


def said(schedule, t, x):
    """What that denoiser says of x = (slope, offset), a line in x_T: x_0 and epsilon, lines too."""
    alpha, sigma = schedule.alpha[t], schedule.sigma[t]
    g = gain(alpha, sigma)
    x_0 = np.array([g * x[0], MEAN + g * (x[1] - alpha * MEAN)])
    return x_0, (x - alpha * x_0) / sigma


def recursion(kind, schedule, times):
    """(slope, offset) of the result as a function of x_T, step by step from the papers' own variables."""
    x, x_0_before, lam_before = np.array([1.0, 0.0]), None, None
    for t, s in zip(times, [*times[1:], None], strict=True):
        x_0, epsilon = said(schedule, t, x)
        if s is None or kind == "mean":
            return x_0
        a_t, s_t, a_s, s_s = schedule.alpha[t], schedule.sigma[t], schedule.alpha[s], schedule.sigma[s]
        if kind == "heun":
            # Karras et al.: the variance-exploding state x / alpha at noise level sigma / alpha.
            d = ((x / a_t) - x_0) / (s_t / a_t)
            euler = x / a_t + (s_s / a_s - s_t / a_t) * d
            there, _ = said(schedule, s, euler * a_s)
            d_there = (euler - there) / (s_s / a_s)
            x = a_s * (x / a_t + (s_s / a_s - s_t / a_t) * 0.5 * (d + d_there))
        else:
            lam_t, lam_s = math.log(a_t / s_t), math.log(a_s / s_s)
            h = lam_s - lam_t
            if x_0_before is None:
                d = x_0
            else:
                r = (lam_t - lam_before) / h
                d = (1 + 1 / (2 * r)) * x_0 - 1 / (2 * r) * x_0_before
            x = s_s / s_t * x - a_s * (math.exp(-h) - 1) * d
            x_0_before, lam_before = x_0, lam_t
    raise AssertionError


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 3, 10, 100, 1000])
@pytest.mark.parametrize("kind", ["dpmpp_2m", "heun", "mean"])
def test_rule_6_gaussian_chain_is_its_closed_form(kind, steps, name):
    schedule = SCHEDULES[name]
    times = trailing(steps, 1000)[::-1]
    slope, offset = recursion(kind, schedule, times)
    for start in (0.0, 1.0, -2.5):
        x_T = torch.full((1, 1, 1, 1), start, dtype=torch.float64)
        x = samplers.SAMPLERS[kind](denoiser(schedule), x_T, schedule, times)
        assert x.item() == pytest.approx(slope * start + offset, rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("kind", ["ddim", "dpmpp_2m", "heun", "mean"])
@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("steps", [1, 3, 1000])
def test_rule_6_single_mask_is_found_by_any_chain(kind, clip, steps):
    schedule = SCHEDULES["cosine"]
    mask = torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64).view(1, 1, 2, 2)

    def denoise(x_t, t, previous):
        return samplers.Denoised(mask, (x_t - float(schedule.alpha[t]) * mask) / float(schedule.sigma[t]))

    x_T = torch.tensor([[0.3, -1.2], [2.0, 0.0]], dtype=torch.float64).view(1, 1, 2, 2)
    x = samplers.SAMPLERS[kind](denoise, x_T, schedule, trailing(steps, 1000)[::-1], clip=clip)
    torch.testing.assert_close(x, mask, rtol=0, atol=1e-12)


def error_with(kind, steps):
    """Distance to the exact solution of the probability flow at the last visited time, after `steps` even steps in
    the log of the signal-to-noise ratio."""
    lam = np.linspace(3, -3, steps + 1)
    alpha = np.sqrt(1 / (1 + np.exp(-2 * lam)))
    schedule = NoiseSchedule(alpha, np.sqrt(1 - alpha**2))
    spread = np.sqrt((schedule.alpha * DEVIATION) ** 2 + schedule.sigma**2)
    x_T = 1.3
    exact = schedule.alpha[0] * MEAN + spread[0] / spread[-1] * (x_T - schedule.alpha[-1] * MEAN)
    seen = []
    samplers.SAMPLERS[kind](
        denoiser(schedule),
        torch.full((1, 1, 1, 1), x_T, dtype=torch.float64),
        schedule,
        list(range(steps + 1))[::-1],
        watch=lambda k, x, x_0: seen.append(x.item()),
    )
    return abs(seen[-2] - exact)  # seen[-1] is the x_0 that is returned


@pytest.mark.parametrize(("kind", "order"), [("ddim", 1), ("dpmpp_2m", 2), ("heun", 2)])
def test_rule_6_order_of_convergence(kind, order):
    errors = [error_with(kind, steps) for steps in (64, 128, 256)]
    for coarse, fine in zip(errors, errors[1:], strict=False):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.15)


def test_one_step_of_any_solver_is_the_mean():
    schedule = SCHEDULES["cosine"]
    x_T = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wanted = samplers.mean(denoiser(schedule), x_T, schedule, [999, 500])
    for sampler in (samplers.ddim, samplers.dpmpp_2m, samplers.heun):
        assert torch.equal(sampler(denoiser(schedule), x_T, schedule, [999]), wanted)
    assert wanted.std() < 0.01 and abs(wanted.mean().item() - MEAN) < 0.01  # x_T says next to nothing


def test_flow_matching_steps_are_eulers():
    """DDIM over the flow schedule is x + (s - u) v with the velocity v = epsilon - x_0."""
    schedule = flow_schedule(100)
    x = torch.tensor([[[[0.7]]]], dtype=torch.float64)
    seen = []
    samplers.ddim(denoiser(schedule), x, schedule, [80, 30], watch=lambda k, x, x_0: seen.append(x.item()))
    first = denoiser(schedule)(x, 80, None)
    step = float(schedule.sigma[30] - schedule.sigma[80])
    assert seen[0] == pytest.approx((x + step * (first.epsilon - first.x_0)).item(), abs=1e-12)


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("steps", [4, 20])
def test_dpm_solver_equals_diffusers(spacing, steps):
    diffusers = pytest.importorskip("diffusers")
    schedule = linear_schedule(100)
    other = diffusers.DPMSolverMultistepScheduler(
        num_train_timesteps=100,
        trained_betas=schedule.betas,
        algorithm_type="dpmsolver++",
        solver_order=2,
        solver_type="midpoint",
        lower_order_final=False,
        euler_at_final=True,
        final_sigmas_type="zero",
        timestep_spacing=spacing,
    )
    other.set_timesteps(steps)
    times = [int(t) for t in other.timesteps]
    x = y = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    def epsilon(x_t, t):
        return torch.tanh(x_t) * (t / 100) + 0.1

    for t in other.timesteps:
        y = other.step(epsilon(y, int(t)), t, y).prev_sample

    def denoise(x_t, t, previous):
        alpha, sigma = float(schedule.alpha[t]), float(schedule.sigma[t])
        said = epsilon(x_t, t)
        return samplers.Denoised((x_t - sigma * said) / alpha, said)

    x = samplers.dpmpp_2m(denoise, x, schedule, times)
    torch.testing.assert_close(x, y, rtol=1e-3, atol=1e-3)  # diffusers keeps its tables in float32
