from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from fakes import make_predictor, noisy, picture

from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError
from segdiff.inference.options import DESCRIBED, INDIFFERENT, InferenceSettings, PredictOptions
from segdiff.settings import changed, plain


def test_what_is_not_given_stays():
    sampling = Sampling(sampler="ddim", steps=7, chains=4, eta=0.5)
    assert PredictOptions().sampling_of(sampling) == sampling
    got = PredictOptions(chains=2, sampler="ddpm").sampling_of(sampling)
    assert (got.chains, got.sampler, got.steps, got.eta) == (2, "ddpm", 7, 0.5)
    assert PredictOptions(sampling=Sampling("heun"), chains=2).sampling_of(sampling) == Sampling("heun", chains=2)


def test_steps_take_the_place_of_times():
    sampling = Sampling(times=(0, 5, 9))
    assert PredictOptions(chains=2).sampling_of(sampling).times == (0, 5, 9)
    got = PredictOptions(steps=3).sampling_of(sampling)
    assert got.times is None and got.steps == 3


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sampler": "euler"}, "known: ddpm, ddim"),
        ({"chains": 0}, "sampling.chains=0"),
        ({"views": 9}, "1 to 8"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 0.5}, "seed=0.5"),
        ({"threshold": 1.5}, "between 0 and 1"),
        ({"temperature": 0.0}, "positive"),
        ({"mpp": 0.5, "scale": 2.0}, "one of mpp, scale and diameter"),
        ({"diameter": float("nan")}, "diameter=nan"),
        ({"windows": (64, 1.0)}, "overlap=1.0"),
        ({"grid": (0, 4)}, "grid"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": "large"}, "batch_size=large"),
    ],
)
def test_what_cannot_be_is_found_when_options_are_made(wrong, said):
    with pytest.raises(ConfigError, match=said) as error:
        PredictOptions(**wrong)
    assert "\n" not in str(error.value)


def test_options_and_their_fields_by_name_say_the_same():
    image, predictor = picture(40, 50), make_predictor(noisy, chains=2)
    options = PredictOptions(seed=3, chains=4, threshold=0.3, keep_chains=True)
    wanted = predictor.predict(image, options)
    got = predictor.predict(image, PredictOptions(seed=9, keep_chains=True), seed=3, chains=4, threshold=0.3)
    assert np.array_equal(got.chains, wanted.chains) and got.sampling == wanted.sampling and got.threshold == 0.3
    assert wanted.sampling.chains == 4 and predictor.sampling.chains == 2
    with pytest.raises(ConfigError, match="chain is not known, did you mean chains"):
        predictor.predict(image, chain=4)


def test_every_option_is_in_one_of_three_groups():
    """What decides a result is described with the model, recorded beside it, or changes nothing."""
    names = {f.name for f in fields(PredictOptions)}
    assert {*DESCRIBED, *INDIFFERENT} <= names
    assert set(PredictOptions().deciding()) == names - {*DESCRIBED, *INDIFFERENT}
    assert {"seed", "mpp", "scale", "diameter", "windows", "grid"} == set(PredictOptions().deciding())


def test_plain_and_changed():
    options = PredictOptions(sampling=Sampling(times=(0, 5)), grid=(4, 6))
    assert plain(options)["grid"] == [4, 6] and plain(options)["sampling"]["times"] == [0, 5]
    assert plain({"n": np.float32(0.5)}) == {"n": 0.5}
    assert changed(options, {}) is options and changed(options, {"seed": 4}).seed == 4


def test_a_class_has_a_name():
    assert make_predictor(class_name="Cell").predict(picture(20, 20)).class_name == "Cell"
    with pytest.raises(ConfigError, match="class_name"):
        InferenceSettings(class_name=" ")
