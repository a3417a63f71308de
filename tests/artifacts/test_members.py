"""An ensemble in a folder, by one name."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import yaml
from fakes import make_artifact, picture

from segdiff.artifacts import names
from segdiff.artifacts.folder import load_artifact, save_artifact
from segdiff.artifacts.hub import from_pretrained
from segdiff.artifacts.members import EnsembleArtifact, is_ensemble, load_ensemble, save_ensemble
from segdiff.cli.main import main
from segdiff.errors import ArtifactError, ConfigError, MissingError
from segdiff.inference.options import PredictOptions
from segdiff.inference.temperature import temper, temper_threshold
from segdiff.workflows.load import load_predictor

NON_COMMERCIAL = {"name": "pair", "license": "cc-by-nc-sa-4.0", "scores": [], "limits": ["It fails on cats."]}


@pytest.fixture
def pair(tmp_path):
    members = {"fine": make_artifact(), "coarse": make_artifact(seed=1)}
    return save_ensemble(EnsembleArtifact(members, training=NON_COMMERCIAL), tmp_path / "pair")


def test_it_predicts_as_its_members_given_one_by_one(pair):
    image = picture()
    one = load_predictor(pair, device="cpu")
    several = load_predictor([pair / "fine", pair / "coarse"], device="cpu")
    got, wanted = one.predict(image, views=2), several.predict(image, views=2)
    np.testing.assert_array_equal(got.probability, wanted.probability)
    np.testing.assert_array_equal(got.uncertainty, wanted.uncertainty)
    described = one.describe(PredictOptions(views=2))
    assert [member["sampling"]["views"] for member in described["members"]] == [2, 2]
    assert got.model == load_ensemble(pair).identity and got.model.startswith("pair@")
    assert [member["model"].partition("@")[0] for member in one.describe()["members"]] == ["fine", "coarse"]


def test_a_temperature_and_a_threshold_are_of_what_the_members_say_together(pair):
    image = picture()
    raw = load_predictor(pair, device="cpu").predict(image, temperature=1.0).probability
    save_ensemble(replace(load_ensemble(pair), inference={"temperature": 2.0, "threshold": 0.45}), pair)
    predictor = load_predictor(pair, device="cpu")
    got = predictor.predict(image)
    np.testing.assert_allclose(got.probability, temper(raw, 2.0), atol=1e-6)
    assert got.threshold == 0.45 and got.chain_threshold == pytest.approx(temper_threshold(0.45, 0.5))
    assert predictor.describe()["inference"]["temperature"] == 2.0
    other = predictor.predict(image, temperature=1.0)
    assert other.threshold == predictor.threshold_at(1.0) == pytest.approx(got.chain_threshold)
    assert (other.mask == got.mask).mean() > 0.999  # rounding at the threshold


def test_intervals_are_of_what_the_members_say_together(pair):
    both = {"temperature": 2.0, "threshold": 0.45}
    fitted = {"level": 0.9, "images": 30, "area": [0.0, 1.5], "count": None}
    save_ensemble(replace(load_ensemble(pair), inference={**both, "conformal": fitted}), pair)
    predictor = load_predictor(pair, device="cpu")
    assert predictor.predict(picture()).conformal == predictor.inference.conformal
    assert predictor.inference.conformal.area == (0.0, 1.5)
    assert predictor.predict(picture(), threshold=0.3).conformal.area is None
    for wrong, said in (
        ({"conformal": fitted}, "conformal: a mapping, beside"),
        ({**both, "conformal": 3}, "conformal: a mapping, beside"),
    ):
        with pytest.raises(ConfigError, match=said):
            save_ensemble(replace(load_ensemble(pair), inference=wrong), pair)
    save_ensemble(replace(load_ensemble(pair), inference={**both, "conformal": {"size": [0.0, 1.0]}}), pair)
    with pytest.raises(ConfigError, match="inference.conformal.size is not known"):
        load_predictor(pair, device="cpu")


def test_among_several_it_counts_as_one(pair, tmp_path):
    third, image = save_artifact(make_artifact(seed=2), tmp_path / "third"), picture()
    both = load_predictor([pair, third], device="cpu").predict(image)
    alone = [load_predictor(model, device="cpu").predict(image).probability for model in (pair, third)]
    np.testing.assert_allclose(both.probability, np.mean(alone, axis=0), atol=1e-6)


def test_identity_follows_the_members(pair, tmp_path):
    first = load_ensemble(pair).identity
    told = EnsembleArtifact({"fine": make_artifact(), "coarse": make_artifact(seed=1)}, training={"data": "slides"})
    assert load_ensemble(save_ensemble(told, tmp_path / "a" / "pair")).identity == first
    warmer = replace(told, inference={"temperature": 1.5, "threshold": 0.4})
    assert load_ensemble(save_ensemble(warmer, tmp_path / "a" / "pair")).identity != first
    other = EnsembleArtifact({"fine": make_artifact(), "coarse": make_artifact(seed=2)})
    assert load_ensemble(save_ensemble(other, pair)).identity != first  # it took the place of the other


def test_its_card_leads_to_those_of_its_members(pair):
    card = (pair / "README.md").read_text()
    assert "license: cc-by-nc-sa-4.0" in card and "It fails on cats." in card
    assert "[fine](fine/README.md), [coarse](coarse/README.md)" in card and (pair / "fine" / "README.md").is_file()


def test_its_licence_is_told_once(pair, caplog):
    with caplog.at_level(logging.WARNING):
        load_predictor(pair, device="cpu")
    (record,) = caplog.records
    assert record.getMessage().startswith("pair is under the licence cc-by-nc-sa-4.0")


def test_licences_of_members_are_told_where_the_ensemble_names_none(tmp_path, caplog):
    members = {"free": make_artifact(), "not": replace(make_artifact(seed=1), training={"license": "cc-by-nc-sa-4.0"})}
    with caplog.at_level(logging.WARNING):
        load_predictor(save_ensemble(EnsembleArtifact(members), tmp_path / "pair"), device="cpu")
    (record,) = caplog.records
    assert record.getMessage().startswith("not is under the licence")


def test_it_may_be_one_of_ours(pair, monkeypatch, capsys):
    monkeypatch.setattr(names, "CHECKOUT", pair.parent)
    monkeypatch.setattr(names, "SHIPPED", (names.Shipped("pair", False, "two"),))
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    size = sum((pair / name / "model.safetensors").stat().st_size for name in ("fine", "coarse")) / 1e6
    assert "cc-by-nc-sa-4.0" in said and f"{size:.1f} MB" in said


def test_what_needs_one_network_names_the_members(pair):
    for wants_one in (load_artifact, from_pretrained):
        with pytest.raises(MissingError, match=r"did you mean .*pair/coarse or .*pair/fine\?"):
            wants_one(pair)
    assert is_ensemble(pair) and not is_ensemble(pair / "fine")


def rewrite(pair, **changes):
    config = yaml.safe_load((pair / "config.yaml").read_text())
    (pair / "config.yaml").write_text(yaml.safe_dump({**config, **changes}))


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"members": ["fine"]}, "two or more"),
        ({"members": "fine"}, "two or more"),
        ({"members": ["fine", "fine"]}, "fine is there twice"),
        ({"members": ["fine", "../third"]}, "'../third' is not the name of a folder"),
        ({"members": ["fine", ".."]}, "'..' is not the name of a folder"),
        ({"members": ["fine", 3]}, "3 is not the name of a folder"),
        ({"format_version": 99}, "format version 99"),
        ({"training": "long"}, "training is not a mapping"),
        ({"inference": {"threshold": 0.4}}, "temperature and threshold are needed"),
        ({"inference": {"temperature": 0, "threshold": 0.4}}, "temperature=0"),
        ({"inference": {"temperature": 1.5, "threshold": 2}}, "threshold=2"),
        ({"inference": {"temperature": 1.5, "threshold": "low"}}, "threshold=low: it must be a number"),
        ({"sampling": {}}, "sampling is not known"),
    ],
)
def test_damaged_folders(pair, changes, said):
    rewrite(pair, **changes)
    with pytest.raises(ArtifactError, match=said):
        load_predictor(pair, device="cpu")


def test_a_member_that_is_missing(pair):
    rewrite(pair, members=["fine", "coarse", "third"])
    with pytest.raises(MissingError, match="third is not a model folder"):
        load_predictor(pair, device="cpu")


def test_an_ensemble_of_ensembles_is_no_folder(pair):
    save_ensemble(EnsembleArtifact({"a": make_artifact(), "b": make_artifact(seed=1)}), pair / "inner")
    rewrite(pair, members=["fine", "inner"])
    with pytest.raises(MissingError, match="inner is not a model folder"):
        load_predictor(pair, device="cpu")


def test_what_cannot_be_saved_leaves_what_was_there(pair, tmp_path):
    with pytest.raises(ConfigError, match="two or more"):
        save_ensemble(EnsembleArtifact({"fine": make_artifact()}), pair)
    with pytest.raises(ConfigError, match="'a/b' is not the name"):
        save_ensemble(EnsembleArtifact({"a/b": make_artifact(), "c": make_artifact()}), pair)
    assert load_ensemble(pair).training == NON_COMMERCIAL
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    two = replace(load_ensemble(pair), training={})
    save_artifact(make_artifact(), tmp_path / "zoo" / "a")  # models side by side are no ensemble
    for folder in (tmp_path / "mine", tmp_path / "zoo"):
        with pytest.raises(ArtifactError, match="holds other things"):
            save_ensemble(two, folder)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years" and load_artifact(tmp_path / "zoo" / "a")
    (pair / "fine" / "notes.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="holds other things"):
        save_ensemble(two, pair)


def test_exports_of_members_that_stay_as_they_are_are_kept(pair):
    for name in ("fine", "coarse"):
        (pair / name / "onnx").mkdir()
    save_ensemble(
        replace(load_ensemble(pair), members={"fine": make_artifact(), "coarse": make_artifact(seed=3)}), pair
    )
    assert (pair / "fine" / "onnx").is_dir() and not (pair / "coarse" / "onnx").exists()


def test_the_model_of_a_run_is_named(tmp_path):
    save_artifact(make_artifact(), tmp_path / "run" / "model")
    (tmp_path / "run" / "config.yaml").write_text("dataset: {}\n")
    with pytest.raises(MissingError, match=r"did you mean .*run/model\?"):
        load_predictor(tmp_path / "run", device="cpu")


def test_a_member_beside_its_ensemble_is_given_twice(pair):
    with pytest.raises(ConfigError, match="given twice"):
        load_predictor([pair, pair / "fine"], device="cpu")
