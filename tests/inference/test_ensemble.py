"""Several models as one, and temperature."""

import numpy as np
import pytest
from fakes import make_predictor, noisy, picture, red

from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError
from segdiff.inference.ensemble import Ensemble
from segdiff.inference.options import PredictOptions
from segdiff.inference.temperature import temper


def inverse(image, noise, chain):
    return 1 - image[:, :1]


def test_members_count_alike_and_their_spread_is_seen():
    image = picture()
    members = [make_predictor(red, identity="a@1"), make_predictor(noisy, chains=4, identity="b@2", window=64)]
    alone = [member.predict(image) for member in members]
    both = Ensemble(members).predict(image)
    mean = (alone[0].probability + alone[1].probability) / 2
    np.testing.assert_allclose(both.probability, mean, atol=1e-6)
    variance = (alone[1].uncertainty ** 2 + sum(p.probability**2 for p in alone)) / 2 - mean**2
    variance = (alone[1].uncertainty ** 2) / 2 + sum((p.probability - mean) ** 2 for p in alone) / 2
    np.testing.assert_allclose(both.uncertainty, np.sqrt(variance), atol=1e-3)
    assert both.model == "a@1 + b@2"


def test_plain_members_that_disagree_are_unsure():
    image = np.full((32, 32, 3), 255, np.uint8)
    both = Ensemble([make_predictor(red, identity="a@1"), make_predictor(inverse)]).predict(image, keep_chains=True)
    assert (
        np.allclose(both.probability, 0.5) and np.allclose(both.uncertainty, 0.5) and both.chains.shape == (2, 32, 32)
    )
    assert not both.mask.any()  # a tie is background


def test_progress_and_records_are_of_all():
    seen = []
    ensemble = Ensemble([make_predictor(red, identity="a@1"), make_predictor(noisy, chains=2, identity="b@2")])
    ensemble.predict(picture(), progress=lambda done, total: seen.append(done / total))
    assert seen == sorted(seen) and seen[-1] == 1
    described = ensemble.describe()
    assert [member["model"] for member in described["members"]] == ["a@1", "b@2"]
    assert [member["sampling"]["chains"] for member in described["members"]] == [1, 2]


def test_members_that_do_not_go_together():
    with pytest.raises(ConfigError, match="two models"):
        Ensemble([make_predictor()])
    with pytest.raises(ConfigError, match="mask_channels 1"):
        Ensemble([make_predictor(), make_predictor(mask_channels=2, identity="b@2")])
    pair = Ensemble([make_predictor(scale={"mpp": 0.5}), make_predictor(identity="b@2")])
    with pytest.raises(ConfigError, match="does not know its own"):
        pair.scale_factor(PredictOptions(mpp=0.25))


def test_temper():
    p = np.array([0.0, 0.2, 0.5, 0.9, 1.0], np.float32)
    assert temper(p, 1.0) is not None and np.array_equal(temper(p, 1.0), p)
    warm = temper(p, 2.0)
    assert warm[2] == 0.5 and p[1] < warm[1] < 0.5 < warm[3] < p[3]
    np.testing.assert_allclose(np.log(warm[3] / (1 - warm[3])), np.log(9) / 2, rtol=1e-5)
    np.testing.assert_allclose(temper(warm, 0.5), p, atol=1e-6)


def test_a_predictor_tempers_probabilities_not_chains():
    image = picture()
    raw = make_predictor(noisy, chains=3).predict(image, keep_chains=True)
    warm = make_predictor(noisy, chains=3, temperature=2.0).predict(image, keep_chains=True)
    np.testing.assert_allclose(warm.probability, temper(raw.probability, 2.0), atol=1e-6)
    assert np.array_equal(warm.chains, raw.chains) and np.array_equal(warm.uncertainty, raw.uncertainty)
    same = make_predictor(noisy, chains=3, temperature=2.0).predict(image, temperature=1.0)
    assert np.array_equal(same.probability, raw.probability)
    with pytest.raises(ConfigError, match="positive"):
        make_predictor(temperature=0.0)
    with pytest.raises(ConfigError, match="positive"):
        make_predictor().predict(image, temperature=-1.0)
    assert make_predictor().check(PredictOptions(sampling=Sampling())) is None


def test_a_temperature_of_ones_own_changes_no_mask():
    image = picture()
    model = make_predictor(noisy, chains=3, temperature=2.0, threshold=0.3)
    wanted = model.predict(image)
    for temperature in (0.5, 1.0, 3.0):
        got = model.predict(image, temperature=temperature, keep_raw=True)
        assert (got.mask == wanted.mask).mean() > 0.999  # rounding at the threshold
        np.testing.assert_allclose(got.probability, temper(got.raw_probability, temperature), atol=1e-6)


def test_spread_is_of_the_chains_themselves():
    """Before any temperature: within [0, 0.5], and none at all where members agree."""
    image = picture()
    same = [make_predictor(red, identity=name, temperature=t) for name, t in (("a@1", 0.1), ("b@2", 0.1))]
    agreed = Ensemble(same).predict(image, keep_raw=True)
    assert not agreed.uncertainty.any()
    np.testing.assert_allclose(agreed.raw_probability, make_predictor(red).predict(image).probability, atol=1e-6)
    with pytest.raises(ConfigError, match="given twice"):
        Ensemble([make_predictor(identity="a@1"), make_predictor(identity="a@1")])
