"""DDPM and DDIM beside an independent implementation, where that one is right (`leading` spacing)."""

import pytest
import torch

from segdiff.diffusion import samplers
from segdiff.diffusion.objectives import to_x_0_and_epsilon
from segdiff.diffusion.schedules import cosine_schedule

diffusers = pytest.importorskip("diffusers")


@pytest.mark.parametrize("steps", [5, 20, 100])
def test_ddim_equals_diffusers(steps):
    schedule = cosine_schedule(100)
    other = diffusers.DDIMScheduler(
        num_train_timesteps=100,
        trained_betas=schedule.betas,
        clip_sample=False,
        set_alpha_to_one=True,
        timestep_spacing="leading",
    )
    other.set_timesteps(steps)
    times = other.timesteps.tolist()
    x = y = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    def epsilon(x_t, t):
        return torch.tanh(x_t) * (t / 100) + 0.1

    for t in times:
        y = other.step(epsilon(y, t), t, y).prev_sample

    def denoise(x_t, t, previous):
        alpha, sigma = float(schedule.alpha[t]), float(schedule.sigma[t])
        return samplers.Denoised(*to_x_0_and_epsilon(epsilon(x_t, t), x_t, alpha, sigma, "epsilon"))

    x = samplers.ddim(denoise, x, schedule, times)
    torch.testing.assert_close(x, y, rtol=2e-4, atol=2e-4)  # diffusers keeps its tables in float32
