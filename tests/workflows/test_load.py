from __future__ import annotations

import pytest

from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError
from segdiff.workflows.load import change_sampling


def test_what_is_not_given_stays():
    sampling = Sampling(sampler="ddim", steps=7, chains=4, eta=0.5)
    assert change_sampling(sampling) == sampling
    changed = change_sampling(sampling, chains=2, sampler="ddpm")
    assert (changed.chains, changed.sampler, changed.steps, changed.eta) == (2, "ddpm", 7, 0.5)


def test_steps_take_the_place_of_times():
    sampling = Sampling(times=(0, 5, 9))
    assert change_sampling(sampling, chains=2).times == (0, 5, 9)
    changed = change_sampling(sampling, steps=3)
    assert changed.times is None and changed.steps == 3


def test_nonsense_is_refused():
    with pytest.raises(ConfigError, match="known: ddpm, ddim"):
        change_sampling(Sampling(), sampler="euler")
