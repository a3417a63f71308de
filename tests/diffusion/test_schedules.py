import numpy as np
import pytest

from segdiff.diffusion.schedules import NoiseSchedule, build_schedule, cosine_schedule, linear_schedule
from segdiff.errors import ConfigError

TABLES = [
    "betas",
    "alphas_cumprod",
    "alphas_cumprod_prev",
    "alphas_cumprod_next",
    "sqrt_alphas_cumprod",
    "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod",
    "sqrt_recip_alphas_cumprod",
    "sqrt_recipm1_alphas_cumprod",
    "posterior_variance",
    "posterior_log_variance_clipped",
    "posterior_mean_coef1",
    "posterior_mean_coef2",
    "fixed_large_variance",
    "fixed_large_log_variance",
]


def check_tables(golden):
    for kind, steps in {tuple(name.split("__")[0].rsplit("_T", 1)) for name in golden}:
        schedule = build_schedule(kind, int(steps))
        for table in TABLES:
            wanted = golden[f"{kind}_T{steps}__{table}"]
            got = getattr(schedule, table)
            assert got.dtype == np.float64 and got.shape == (int(steps),)
            np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-15, err_msg=f"{kind} {steps} {table}")


def test_tables_are_the_published_ones(golden_file):
    check_tables(np.load(golden_file("schedules.npz")))


def test_tables_are_the_published_ones_up_to_a_thousand_steps(shared_data):
    folder = shared_data / "golden" / "schedules"
    tables = {}
    for kind in ("linear", "cosine"):
        for steps in (25, 50, 100, 1000):
            with np.load(folder / f"{kind}_T{steps}.npz") as file:
                tables.update({f"{kind}_T{steps}__{name}": file[name] for name in file.files})
    check_tables(tables)


@pytest.mark.parametrize("steps", [1, 2, 19, 20])
def test_linear_schedule_of_too_few_steps_is_a_clear_error(steps):
    with pytest.raises(ConfigError, match="21 steps or more"):
        linear_schedule(steps)


def test_smallest_schedules():
    assert linear_schedule(21).betas[-1] == pytest.approx(20 / 21)
    assert cosine_schedule(2).betas[-1] == pytest.approx(0.999)
    with pytest.raises(ConfigError, match="2 steps"):
        cosine_schedule(1)


def test_signal_scale_follows_its_formula_and_composes():
    schedule = linear_schedule(100)
    abar = schedule.alphas_cumprod
    scaled = schedule.scaled(0.2)
    np.testing.assert_allclose(scaled.alphas_cumprod, 0.04 * abar / (1 + (0.04 - 1) * abar), rtol=1e-12)
    np.testing.assert_allclose(scaled.alpha**2 + scaled.sigma**2, 1, rtol=1e-14)
    np.testing.assert_allclose(scaled.scaled(5.0).alpha, schedule.alpha, rtol=1e-13)
    assert scaled.signal_scale == 0.2
    # A scaled mask in the unscaled process and the mask in the scaled process have one signal-to-noise ratio.
    np.testing.assert_allclose(scaled.alpha / scaled.sigma, 0.2 * schedule.alpha / schedule.sigma, rtol=1e-12)
    with pytest.raises(ConfigError, match="signal_scale"):
        schedule.scaled(0)


def test_flow_matching_is_two_tables_without_betas():
    u = (np.arange(10) + 1) / 11
    flow = NoiseSchedule(1 - u, u)
    assert flow.steps == 10
    with pytest.raises(ConfigError, match="alpha"):
        _ = flow.betas


def test_unknown_schedule_names_the_known_ones():
    with pytest.raises(ConfigError, match="linear, cosine"):
        build_schedule("quadratic", 100)
