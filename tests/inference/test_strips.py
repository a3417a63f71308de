"""Strips are the rows of the whole prediction, to the last bit, wherever a run begins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes import make_predictor, noisy
from slide_files import picture, write_pages

from segdiff.data.sources.open import open_source
from segdiff.inference import strips
from segdiff.inference.ensemble import Ensemble
from segdiff.inference.options import PredictOptions
from segdiff.inference.strips import Choice
from segdiff.models.normalisation import Normalisation

ARRAY = picture(150, 190)


def two_channels(image, noise, chain):
    return torch.cat([image[:, :1] + 0.3 * noise[:, :1], image[:, 1:2] - 0.2 * noise[:, 1:]], dim=1)


def put_together(found, shape):
    """Whole arrays of strips, by the names of fields, and the rows of windows that gave them."""
    whole, rows = {}, []
    for strip in found:
        rows.append(strip.row)
        for left, said in strip.predictions.items():
            for name in ("probability", "uncertainty", "core", "raw_probability"):
                if (part := getattr(said, name)) is not None:
                    target = whole.setdefault(name, np.zeros(shape, np.float32))
                    target[strip.window.rows, left : left + part.shape[1]] = part
    return whole, rows


def assert_whole(predictor, array, options, choice=None, first=0):
    expected = predictor.predict(np.asarray(array), options)
    found, rows = put_together(predictor.strips(array, options, choice), expected.probability.shape)
    assert rows == list(range(rows[0], rows[0] + len(rows)))
    for name in ("probability", "uncertainty", "core", "raw_probability"):
        value = getattr(expected, name)
        assert (value is None) == (name not in found), name
        if value is not None:
            np.testing.assert_array_equal(found[name][first:], value[first:], err_msg=name)


@pytest.fixture(autouse=True)
def narrow_tiles(monkeypatch):
    monkeypatch.setattr(strips, "COLUMNS", 40)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.6])
@pytest.mark.parametrize("chains", [1, 3])
def test_rule_7_strips_are_the_whole(overlap, chains):
    predictor = make_predictor(noisy, chains=chains, window=48, overlap=overlap, temperature=1.4)
    assert_whole(predictor, ARRAY, PredictOptions(seed=3, keep_raw=True))


def test_rule_7_mask_and_core():
    predictor = make_predictor(two_channels, chains=2, mask_channels=2, target="instances")
    assert_whole(predictor, ARRAY, PredictOptions())


@pytest.mark.parametrize("scale", [0.4, 0.5, 1.7])
def test_rule_7_at_another_scale(scale):
    assert_whole(make_predictor(noisy, chains=2), ARRAY, PredictOptions(scale=scale))


def test_rule_7_a_run_that_begins_further_down():
    predictor = make_predictor(noisy, chains=2, window=32, overlap=0.6)
    every = list(predictor.strips(ARRAY))
    for first in (1, 2, len(every) - 1):
        assert_whole(predictor, ARRAY, PredictOptions(), Choice(first=first), every[first].window.top)
    two = list(predictor.strips(ARRAY, choice=Choice(first=2, last=3)))
    assert [strip.row for strip in two] == [2, 3]


def test_rule_7_a_slide_is_the_picture_in_memory(tmp_path):
    write_pages(tmp_path / "a.tif", ARRAY, photometric="rgb")
    source = open_source(tmp_path / "a.tif")
    predictor = make_predictor(noisy, chains=2)
    expected = predictor.predict(ARRAY)
    found, _ = put_together(predictor.strips(source), (150, 190))
    np.testing.assert_array_equal(found["probability"], expected.probability)
    np.testing.assert_array_equal(predictor.predict(source).probability, expected.probability)


def test_what_holds_no_data_is_background():
    padded = np.zeros((220, 260, 3), np.uint8)
    padded[30:180, 40:230] = np.clip(ARRAY, 90, 250)
    assert_whole(make_predictor(noisy, chains=2), padded, PredictOptions())


def test_windows_that_are_not_wanted_are_not_run():
    predictor = make_predictor(noisy, window=32)
    choice = Choice(wanted=lambda place: place.left < 60 and place.top > 40)
    found, _ = put_together(predictor.strips(ARRAY, choice=choice), (150, 190))
    calls = sum(windows for _, windows in predictor.segmenter.calls)
    whole = predictor.predict(ARRAY).probability
    assert 0 < calls < sum(windows for _, windows in predictor.segmenter.calls) - calls
    assert not found["probability"][:, 110:].any() and not found["probability"][:40].any()
    np.testing.assert_array_equal(found["probability"][80:, :40], whole[80:, :40])


def test_nothing_wanted_gives_strips_without_tiles():
    found = list(make_predictor(noisy).strips(ARRAY, choice=Choice(wanted=lambda place: False)))
    assert sum(strip.window.height for strip in found) == 150 and not any(strip.predictions for strip in found)


def test_progress_counts_chains_times_windows():
    told = []
    predictor = make_predictor(noisy, chains=3)
    list(predictor.strips(ARRAY, progress=lambda done, total: told.append((done, total))))
    done, totals = zip(*told, strict=True)
    assert len(set(totals)) == 1 and done[-1] == totals[0] and list(done) == sorted(done)


@pytest.mark.parametrize("temperature", [None, 1.7])
@pytest.mark.parametrize("pooled", [None, 0.8])
def test_rule_7_models_of_an_ensemble_are_joined_as_it_predicts(temperature, pooled):
    members = [
        make_predictor(noisy, chains=2, identity="a@1", temperature=1.3),
        make_predictor(identity="b@2", window=48),
    ]
    ensemble = Ensemble(members, temperature=pooled)
    options = PredictOptions(temperature=temperature)
    expected = ensemble.predict(ARRAY, options)
    parts = []
    for model, told in ensemble.models(options):
        found, _ = put_together(model.strips(ARRAY, told), (150, 190))
        parts.append(replace(model.empty(told), **found))
    joined = ensemble.joined(parts, options)
    for name in ("probability", "uncertainty"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(expected, name))
    assert joined.threshold == expected.threshold and joined.model == expected.model


def test_statistics_leave_out_what_is_set_aside():
    predictor = make_predictor()
    predictor.normalisation = Normalisation("per_image")
    array = ARRAY.copy()
    array[:75] = 240
    plain, _ = put_together(predictor.strips(array), (150, 190))
    aside = np.zeros((10, 10), bool)
    aside[:5] = True
    found, _ = put_together(predictor.strips(array, choice=Choice(aside=aside)), (150, 190))
    alone = predictor.predict(array[75:]).probability
    assert np.abs(found["probability"][75:] - alone).mean() < np.abs(plain["probability"][75:] - alone).mean() / 3
