"""What a network predicts, how that turns into x_0 and epsilon, and the losses.

`alpha` and `sigma` are numbers or tensors that broadcast with x_t (B, M, H, W).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from segdiff.diffusion.schedules import NoiseSchedule
from segdiff.errors import ConfigError

PREDICTIONS = ("epsilon", "x_0", "v", "velocity")
WEIGHTINGS = ("uniform", "min_snr", "snr_plus_1")
MIN_SNR = 5.0  # gamma of Hang et al. 2023, arXiv:2303.09556
Number = float | Tensor


def check_prediction(prediction: str) -> None:
    """ConfigError unless `prediction` is known."""
    if prediction not in PREDICTIONS:
        raise ConfigError(f"diffusion.prediction={prediction} is not known; known: {', '.join(PREDICTIONS)}")


def x_0_from_epsilon(x_t: Tensor, epsilon: Tensor, alpha: Number, sigma: Number) -> Tensor:
    """(x_t - sigma epsilon) / alpha."""
    return x_t * (1.0 / alpha) - epsilon * (sigma / alpha)


def epsilon_from_x_0(x_t: Tensor, x_0: Tensor, alpha: Number, sigma: Number) -> Tensor:
    """(x_t - alpha x_0) / sigma."""
    return (x_t - alpha * x_0) / sigma


def v_from(x_0: Tensor, epsilon: Tensor, alpha: Number, sigma: Number) -> Tensor:
    """v = alpha epsilon - sigma x_0. Source: Salimans and Ho 2022, arXiv:2202.00512, appendix D."""
    return alpha * epsilon - sigma * x_0


def to_x_0_and_epsilon(
    output: Tensor, x_t: Tensor, alpha: Number, sigma: Number, prediction: str
) -> tuple[Tensor, Tensor]:
    """Both readings of a network's output, whichever it predicts."""
    if prediction == "epsilon":
        return x_0_from_epsilon(x_t, output, alpha, sigma), output
    if prediction == "x_0":
        return output, epsilon_from_x_0(x_t, output, alpha, sigma)
    if prediction == "velocity":
        norm = alpha + sigma  # 1 for flow matching
        return (x_t - sigma * output) / norm, (x_t + alpha * output) / norm
    check_prediction(prediction)
    norm = alpha**2 + sigma**2  # 1 where variance is preserved
    return (alpha * x_t - sigma * output) / norm, (sigma * x_t + alpha * output) / norm


def target_of(x_0: Tensor, epsilon: Tensor, alpha: Number, sigma: Number, prediction: str) -> Tensor:
    """What a network with this prediction should have said."""
    if prediction == "epsilon":
        return epsilon
    if prediction == "x_0":
        return x_0
    if prediction == "velocity":
        return epsilon - x_0
    check_prediction(prediction)
    return v_from(x_0, epsilon, alpha, sigma)


def log_snr(alpha: Tensor, sigma: Tensor) -> Tensor:
    """log(alpha^2 / sigma^2)."""
    return 2 * (alpha / sigma).log()


def log_snr_at(schedule: NoiseSchedule, t: int) -> float:
    """The same of one time, as a number."""
    return 2 * math.log(float(schedule.alpha[t]) / float(schedule.sigma[t]))


def loss_weight(weighting: str, prediction: str, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Factor of the squared error of a prediction, shape (B,).

    "uniform" is 1. The others are weights w of the squared error of x_0: "min_snr" is min(SNR, 5), "snr_plus_1" is
    SNR + 1, with SNR = alpha^2 / sigma^2. An error of x_0 by e is one of epsilon by (alpha / sigma) e, of v by e /
    sigma where variance is preserved, of the velocity by (alpha + sigma) / sigma e, so w is divided by that squared.

    alpha, sigma: (B, 1, ..., 1) or of one entry.
    """
    a, s = alpha.flatten(), sigma.flatten()
    snr = (a / s) ** 2
    if weighting == "uniform":
        return torch.ones_like(snr)
    weight = snr.clamp(max=MIN_SNR) if weighting == "min_snr" else snr + 1
    ratio = {"epsilon": a / s, "v": (a**2 + s**2) / s, "velocity": (a + s) / s}.get(prediction)
    return weight if ratio is None else weight / ratio**2


def mean_squared_error(output: Tensor, target: Tensor) -> Tensor:
    """Mean over channel and pixels for each sample, shape (B,), in float32.

    The published loss is the sum over pixels, 65,536 times this at 256 x 256, which overflows half precision; with
    Adam the factor changes nearly nothing else.
    """
    return (output.float() - target.float()).square().flatten(1).mean(1)


def variational_term(
    x_0: Tensor, x_t: Tensor, predicted_x_0: Tensor, fraction: Tensor, t: Tensor, schedule: NoiseSchedule
) -> Tensor:
    """The term that trains a learned variance, in bits a pixel, shape (B,): eq. 15 of arXiv:2102.09672.

    KL(q(x_{t-1} | x_t, x_0) || p) for t > 0; at t = 0 the negative log-likelihood of x_0 under a Gaussian in bins of
    width 2/255, open at -1 and +1. `fraction` in [0, 1] interpolates the log-variances (`samplers.Denoised`);
    gradients reach it alone: pass `predicted_x_0` detached.
    """

    def table(values: object) -> Tensor:
        read = torch.as_tensor(values)[t.cpu()].to(x_0.device, torch.float32)
        return read.view((-1,) + (1,) * (x_0.ndim - 1))

    low, high = table(schedule.posterior_log_variance_clipped), table(schedule.betas).log()
    log_variance = fraction * high + (1 - fraction) * low
    coef_x_0, coef_x_t = table(schedule.posterior_mean_coef1), table(schedule.posterior_mean_coef2)
    true_mean, mean = coef_x_0 * x_0 + coef_x_t * x_t, coef_x_0 * predicted_x_0 + coef_x_t * x_t
    kl = 0.5 * (
        -1 + log_variance - low + (low - log_variance).exp() + (true_mean - mean).square() * (-log_variance).exp()
    )
    scale = (-0.5 * log_variance).exp()
    upper = torch.special.ndtr((x_0 - mean + 1 / 255) * scale)
    lower = torch.special.ndtr((x_0 - mean - 1 / 255) * scale)
    bin_mass = torch.where(x_0 < -0.999, upper, torch.where(x_0 > 0.999, 1 - lower, upper - lower))
    nll = -bin_mass.clamp_min(1e-12).log()
    first = (t == 0).to(x_0.device).view((-1,) + (1,) * (x_0.ndim - 1))
    term = torch.where(first, nll, kl)
    return term.flatten(1).mean(1) / math.log(2)
