"""Whole masks of single chains as files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from fakes import make_predictor, picture
from PIL import Image

from segdiff.errors import ConfigError
from segdiff.workflows.predict_files import failures, predict_files
from segdiff.workflows.sampled import in_words


def third(image, noise, chain):
    """Nothing in every third chain, one rectangle in the second, a smaller one in the others."""
    found = 0 * image[:, :1]
    if chain % 3:
        found[..., 4 : 14 + 6 * (chain % 3), 5:25] = 1
    return found


@pytest.fixture
def image(tmp_path):
    Image.fromarray(picture(40, 50, seed=0)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def read(path):
    return np.asarray(Image.open(path)) > 0


def test_masks_that_differ_agreement_and_areas(image, tmp_path):
    out = tmp_path / "out"
    record = predict_files(make_predictor(third, chains=2, window=64), [image], out, samples=3)
    [entry] = record["images"]
    assert record["sampling"]["chains"] == 19  # enough for an interval of 90 %
    masks = [read(out / f"a_sample_{k}.png") for k in (1, 2, 3)]
    assert sorted(mask.sum() for mask in masks) == [0, 320, 440]
    said = entry["samples"]
    assert said["chains"] == 19 and said["shares"] == pytest.approx([7 / 19, 6 / 19, 6 / 19])
    assert said["area"]["values"] == [mask.sum() for mask in masks]
    assert (said["area"]["low"], said["area"]["high"], said["area"]["nominal"]) == (0, 440, 0.9)
    agreement = tifffile.imread(out / "a_agreement.tif")
    assert agreement[5, 6] == pytest.approx(12 / 19) and agreement[22, 6] == pytest.approx(6 / 19)
    assert set(entry["outputs"]) >= {"mask", "sample_1", "sample_3", "agreement"}
    assert json.loads((out / "prediction.json").read_text())["images"][0]["samples"] == said
    assert (
        in_words(said) == "3 masks stand for 37, 32, 32 % of 19 samples; 90 % of their areas lie between 0 and 440 px"
    )


def test_chains_that_are_given_are_kept(image, tmp_path):
    record = predict_files(make_predictor(third, chains=2, window=64), [image], tmp_path / "out", samples=2, chains=6)
    said = record["images"][0]["samples"]
    assert said["chains"] == 6 and said["area"]["nominal"] == pytest.approx(5 / 7, abs=1e-4)
    with pytest.raises(ConfigError, match=r"4 masks cannot be chosen of 3 chain\(s\)"):
        predict_files(make_predictor(third), [image], tmp_path / "other", samples=4, chains=3)
    with pytest.raises(ConfigError, match="samples=65"):
        predict_files(make_predictor(third), [image], tmp_path / "other", samples=65)
    assert not (tmp_path / "other").exists()


def test_nothing_is_replaced_or_taken_for_an_input(image, tmp_path):
    out = tmp_path / "out"
    predictor = make_predictor(third, chains=2, window=64)
    predict_files(predictor, [image], out, samples=2)
    (out / "a_mask.png").unlink()
    with pytest.raises(ConfigError, match="exists"):
        predict_files(predictor, [image], out, samples=2)
    before = (out / "a_sample_1.png").stat().st_mtime_ns
    predict_files(predictor, [image], out, samples=2, overwrite=True)
    [entry] = predict_files(predictor, [image], tmp_path / "more", samples=3)["images"]
    [entry] = predict_files(predictor, [image], tmp_path / "more", samples=2, overwrite=True)["images"]
    assert "a_sample_3.png lies there too, and is not of this run" in entry["remarks"]
    again = predict_files(predictor, [image], out, samples=2, resume=True)
    assert again["done_before"] == 1 and (out / "a_sample_1.png").stat().st_mtime_ns != before
    with pytest.raises(ConfigError, match="samples=2 there, 3 here"):
        predict_files(predictor, [image], out, samples=3, resume=True)
    Image.fromarray(picture(40, 50, seed=0)).save(tmp_path / "a_sample_2.png")
    with pytest.raises(ConfigError, match="is an input"):
        predict_files(predictor, [image, tmp_path / "a_sample_2.png"], tmp_path, samples=2, overwrite=True)


def test_a_model_of_a_single_mask_has_no_samples(image, tmp_path):
    predictor = make_predictor(third)
    segmenter = predictor.segmenter
    once = type(segmenter).sample
    segmenter.sample = lambda image, noise, sampling, group_size=None: iter(
        [next(once(segmenter, image, noise, sampling, 1))]
    )
    record = predict_files(predictor, [image], tmp_path / "out", samples=2)
    assert "gives a single mask" in failures(record)[0]["error"]
