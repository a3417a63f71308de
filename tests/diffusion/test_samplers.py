"""Samplers against closed forms: the exact denoiser of Gaussian data, and of a single mask."""

import math

import numpy as np
import pytest
import torch

from segdiff.diffusion import samplers
from segdiff.diffusion.objectives import PREDICTIONS, target_of, to_x_0_and_epsilon
from segdiff.diffusion.process import diffuse, posterior, transition
from segdiff.diffusion.schedules import NoiseSchedule, cosine_schedule, linear_schedule
from segdiff.diffusion.timesteps import trailing
from segdiff.errors import ConfigError

MEAN, DEVIATION = 0.3, 0.2
SCHEDULES = {
    "linear": linear_schedule(100),
    "cosine": cosine_schedule(1000),
    "scaled": linear_schedule(100).scaled(0.3),
}


def gaussian_denoiser(schedule):
    """E[x_0 | x_t] for x_0 ~ N(MEAN, DEVIATION^2), and the epsilon that goes with it."""

    def denoise(x_t, t, previous):
        alpha, sigma = schedule.alpha[t], schedule.sigma[t]
        gain = alpha * DEVIATION**2 / (alpha**2 * DEVIATION**2 + sigma**2)
        x_0 = MEAN + gain * (x_t - alpha * MEAN)
        return samplers.Denoised(x_0, (x_t - alpha * x_0) / sigma)

    return denoise


def closed_form(schedule, times, kind, eta=0.0, variance="large"):
    """Mean and variance of the chain's result: the linear recursion of its own steps, from x_T ~ N(0, 1)."""
    mean, var = 0.0, 1.0
    for t, s in zip(times, [*times[1:], -1], strict=True):
        abar_t = schedule.alpha[t] ** 2
        abar_s = 1.0 if s < 0 else schedule.alpha[s] ** 2
        gain = math.sqrt(abar_t) * DEVIATION**2 / (abar_t * DEVIATION**2 + 1 - abar_t)
        offset = MEAN * (1 - gain * math.sqrt(abar_t))
        beta = 1 - abar_t / abar_s
        if s < 0:
            slope, shift, added = gain, offset, 0.0
        elif kind == "ddpm":
            on_x_0 = math.sqrt(abar_s) * beta / (1 - abar_t)
            on_x_t = math.sqrt(abar_t / abar_s) * (1 - abar_s) / (1 - abar_t)
            slope, shift = on_x_0 * gain + on_x_t, on_x_0 * offset
            small = beta * (1 - abar_s) / (1 - abar_t)
            added = beta if variance == "large" else small
        else:
            added = eta**2 * (1 - abar_s) / (1 - abar_t) * beta
            on_noise = math.sqrt(1 - abar_s - added) / math.sqrt(1 - abar_t)
            on_x_0 = math.sqrt(abar_s) - on_noise * math.sqrt(abar_t)
            slope, shift = on_x_0 * gain + on_noise, on_x_0 * offset
        mean, var = slope * mean + shift, slope**2 * var + added
    return mean, var


CHAINS = [
    ("ddpm", {"variance": "large"}),
    ("ddpm", {"variance": "small"}),
    ("ddim", {"eta": 0.0}),
    ("ddim", {"eta": 0.7}),
    ("ddim", {"eta": 1.0}),
]


def run(kind, schedule, times, x_T, noise, **settings):
    return getattr(samplers, kind)(gaussian_denoiser(schedule), x_T, schedule, times, noise=noise, **settings)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 7, 100])
@pytest.mark.parametrize(("kind", "settings"), CHAINS)
def test_rule_6_gaussian_chain_is_its_closed_form(name, steps, kind, settings):
    """The chain is linear in x_T and in each noise: unit impulses give every factor, so nothing is estimated."""
    schedule = SCHEDULES[name]
    times = trailing(steps, schedule.steps)[::-1]
    inputs = torch.eye(
        steps + 1, dtype=torch.float64
    )  # column j: impulse in x_T (0) or in the noise of evaluation j - 1

    def at(j):
        return torch.cat([inputs[j], torch.zeros(1, dtype=torch.float64)]).view(-1, 1, 1, 1)

    result = run(kind, schedule, times, at(0), lambda k: at(k + 1), **settings).flatten()
    mean, factors = result[-1], result[:-1] - result[-1]
    wanted_mean, wanted_var = closed_form(schedule, times, kind, **settings)
    assert mean.item() == pytest.approx(wanted_mean, abs=1e-9)
    assert factors.square().sum().item() == pytest.approx(wanted_var, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("kind", "settings"), CHAINS)
def test_rule_6_gaussian_chain_converges_to_the_data(kind, settings):
    errors = []
    for steps in (50, 400):
        schedule = cosine_schedule(steps)
        mean, var = closed_form(schedule, list(range(steps))[::-1], kind, **settings)
        errors.append(abs(mean - MEAN) + abs(math.sqrt(var) - DEVIATION))
    assert errors[1] < 0.02
    assert errors[1] < errors[0] / 2


@pytest.mark.parametrize("steps", [1, 3, 25])
@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize(("kind", "settings"), CHAINS)
def test_rule_6_single_mask_is_found_by_any_chain(kind, settings, clip, steps):
    schedule = linear_schedule(25)
    mask = torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64).view(1, 1, 2, 2)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(steps + 1, 1, 1, 2, 2, generator=generator, dtype=torch.float64)

    def denoise(x_t, t, previous):
        return samplers.Denoised(mask, (x_t - schedule.alpha[t] * mask) / schedule.sigma[t])

    seen = []
    x = getattr(samplers, kind)(
        denoise,
        noise[0],
        schedule,
        trailing(steps, 25)[::-1],
        noise=lambda k: noise[k + 1],
        clip=clip,
        watch=lambda k, x, x_0: seen.append(x),
        **settings,
    )
    torch.testing.assert_close(x, mask, rtol=0, atol=1e-12)
    assert len(seen) == steps


def test_last_step_returns_x_0_and_asks_for_no_noise():
    schedule = linear_schedule(30)
    asked = []

    def noise(k):
        asked.append(k)
        return torch.zeros(1, 1, 1, 1)

    said = samplers.Denoised(torch.full((1, 1, 1, 1), 3.5), torch.zeros(1, 1, 1, 1))
    x = samplers.ddpm(lambda x, t, p: said, torch.zeros(1, 1, 1, 1), schedule, [29, 10, 4], noise=noise)
    assert x.item() == 3.5 and asked == [0, 1]


def test_previous_is_the_last_x_0():
    schedule, seen = linear_schedule(30), []

    def denoise(x_t, t, previous):
        seen.append(None if previous is None else previous.item())
        return samplers.Denoised(torch.full_like(x_t, t), torch.zeros_like(x_t))

    for sampler in (samplers.ddpm, samplers.ddim):
        seen.clear()
        sampler(denoise, torch.zeros(1, 1, 1, 1), schedule, [29, 10, 4], noise=lambda k: torch.zeros(1, 1, 1, 1))
        assert seen == [None, 29, 10]


def test_learned_variance_lies_between_small_and_large():
    schedule, times = linear_schedule(30), [29, 10]
    ends = {}
    for fraction in (0.0, 0.5, 1.0):

        def denoise(x_t, t, previous, fraction=fraction):
            return samplers.Denoised(torch.zeros_like(x_t), x_t, torch.full_like(x_t, fraction))

        states = []
        samplers.ddpm(
            denoise,
            torch.zeros(1, 1, 1, 1, dtype=torch.float64),
            schedule,
            times,
            noise=lambda k: torch.ones(1, 1, 1, 1, dtype=torch.float64),
            variance="learned",
            watch=lambda k, x, x_0, states=states: states.append(x.item()),
        )
        ends[fraction] = states[0]
    step = transition(schedule, 29, 10)
    assert ends[0.0] == pytest.approx(math.sqrt(step.variance))
    assert ends[1.0] == pytest.approx(math.sqrt(step.beta))
    assert ends[0.5] == pytest.approx((step.variance * step.beta) ** 0.25)
    with pytest.raises(ConfigError, match="predicts it"):
        run(
            "ddpm",
            schedule,
            times,
            torch.zeros(1, 1, 1, 1),
            lambda k: torch.zeros(1, 1, 1, 1),
            variance="learned",
        )


@pytest.mark.parametrize("times", [[], [3, 5], [5, 5], [30, 1], [3, -1]])
def test_times_that_do_not_descend_are_refused(times):
    with pytest.raises(ConfigError, match="descend"):
        run("ddpm", linear_schedule(30), times, torch.zeros(1, 1, 1, 1), lambda k: 0)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("kind", ["linear", "scaled", "flow"])
def test_conversions_are_inverse_to_each_other(prediction, kind):
    u = (np.arange(100) + 1) / 101
    schedule = NoiseSchedule(1 - u, u) if kind == "flow" else SCHEDULES[kind]
    generator = torch.Generator().manual_seed(1)
    x_0, epsilon = torch.randn(2, 3, 1, 4, 4, generator=generator, dtype=torch.float64)
    t = torch.tensor([0, 50, 98])
    x_t = diffuse(x_0, epsilon, t, schedule)
    for i, time in enumerate(t.tolist()):
        alpha, sigma = float(schedule.alpha[time]), float(schedule.sigma[time])
        said = target_of(x_0[i], epsilon[i], alpha, sigma, prediction)
        back = to_x_0_and_epsilon(said, x_t[i], alpha, sigma, prediction)
        torch.testing.assert_close(back[0], x_0[i], rtol=0, atol=1e-9)
        torch.testing.assert_close(back[1], epsilon[i], rtol=0, atol=1e-9)


def test_posterior_is_the_published_table():
    schedule = linear_schedule(50)
    x_0, x_t = torch.tensor(1.0, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)
    for t in (1, 20, 49):
        mean, variance = posterior(x_0, x_t, t, schedule)
        wanted = schedule.posterior_mean_coef1[t] + schedule.posterior_mean_coef2[t]
        assert mean.item() == pytest.approx(wanted, rel=1e-10)
        assert variance == pytest.approx(schedule.posterior_variance[t], rel=1e-10)
    assert posterior(x_0, x_t, 0, schedule)[1] == 0
