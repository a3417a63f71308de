"""The settings of a sampler: with an image and a noise field they determine the result."""

from __future__ import annotations

from dataclasses import dataclass

from segdiff.diffusion.timesteps import respace, trailing
from segdiff.errors import ConfigError

SAMPLERS = ("ddpm", "ddim", "dpmpp_2m", "heun", "mean")  # of `samplers.SAMPLERS`, which needs torch
VARIANCES = ("large", "small", "learned")
SPACINGS = ("trailing", "even")
MOST_CHAINS = 10_000  # beyond is a slip that would run for days


@dataclass(frozen=True)
class Sampling:
    """How chains are run.

    Args:
        sampler: "ddpm" (ancestral), "ddim", "dpmpp_2m" (DPM-Solver++), "heun" or "mean" (one evaluation).
        steps: times that a chain visits, one evaluation each (heun: two but at the last); None: every time.
        spacing: where `steps` times lie: "trailing" (see `timesteps.trailing`) or "even" (both ends, as published).
        times: the times themselves, as indices in any order or a published respacing string; overrides `steps`.
        chains: how many chains are averaged; chain k is the same whatever their number.
        eta: noise of DDIM, 0 (none) to 1 (as much as DDPM with variance "small").
        variance: of DDPM: "large" (beta, published), "small" (posterior) or "learned" (needs a network that says it).
        clip: clip x_0 to [-1, 1] in every step (the published setting does not).
        views: number of dihedral views (1 to 8); chain k sees view k mod views.
    Raises:
        ConfigError: a value outside those.
    """

    sampler: str = "ddpm"
    steps: int | None = None
    spacing: str = "trailing"
    times: tuple[int, ...] | str | None = None
    chains: int = 9
    eta: float = 0.0
    variance: str = "large"
    clip: bool = False
    views: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.times, list):  # as it comes from YAML
            object.__setattr__(self, "times", tuple(self.times))
        for name, known in (("sampler", SAMPLERS), ("variance", VARIANCES), ("spacing", SPACINGS)):
            if getattr(self, name) not in known:
                raise ConfigError(f"sampling.{name}={getattr(self, name)} is not known; known: {', '.join(known)}")
        if not 1 <= self.chains <= MOST_CHAINS:
            raise ConfigError(f"sampling.chains={self.chains}: 1 to {MOST_CHAINS} can be run")
        if not 1 <= self.views <= 8:
            raise ConfigError(f"sampling.views={self.views}: 1 to 8 dihedral views exist")
        if not 0 <= self.eta <= 1:
            raise ConfigError(f"sampling.eta={self.eta}: it lies between 0 and 1")
        if self.steps is not None and self.steps < 1:
            raise ConfigError(f"sampling.steps={self.steps}: at least 1 is needed")

    @property
    def draws_noise(self) -> bool:
        """Whether steps draw noise of their own, beyond x_T."""
        return self.sampler == "ddpm" or (self.sampler == "ddim" and self.eta > 0)

    def visited(self, steps: int) -> list[int]:
        """The times that a chain visits under a schedule of `steps`, descending."""
        if isinstance(self.times, str):
            times = respace(self.times, steps)
        elif self.times is not None:
            times = sorted(set(self.times))
            if not times or times[0] < 0 or times[-1] >= steps:
                raise ConfigError(f"sampling.times must lie in 0..{steps - 1}; got {list(self.times)}")
        elif self.steps is None:
            times = list(range(steps))
        elif self.spacing == "even" and self.steps > 1:
            times = respace(str(self.steps), steps)
        else:
            times = trailing(self.steps, steps)
        times = times[::-1]
        return times[:1] if self.sampler == "mean" else times
