"""Models that come with segdiff, by name."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import make_artifact

from segdiff.artifacts import names
from segdiff.artifacts.folder import save_artifact
from segdiff.artifacts.hub import from_pretrained, locate
from segdiff.cli.main import main
from segdiff.errors import MissingError
from segdiff.workflows.load import load_predictor

SCORE = {"on": "the slides of somebody", "protocol": "native", "images": 3, "values": {"dice": 0.75}}


@pytest.fixture
def shipped(monkeypatch, tmp_path):
    """Two models at made-up places: nuclei, free, and monuseg, not for commercial use."""
    monkeypatch.setattr(names, "PACKAGE", tmp_path / "weights")
    monkeypatch.setattr(names, "CHECKOUT", tmp_path / "models")
    free = replace(make_artifact(), training={"license": "apache-2.0", "data": "slides", "scores": [SCORE]})
    save_artifact(free, tmp_path / "weights" / "nuclei")
    save_artifact(replace(free, training={"license": "cc-by-nc-sa-4.0"}), tmp_path / "models" / "monuseg")
    return tmp_path


def test_a_name_is_found_wherever_one_is(shipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nuclei").mkdir()  # a folder of pictures, say
    assert locate("nuclei") == shipped / "weights" / "nuclei"
    assert locate("monuseg") == shipped / "models" / "monuseg"
    assert locate("./nuclei").resolve() == tmp_path / "nuclei"


def test_what_is_not_here_says_where_it_is(shipped):
    shutil.rmtree(shipped / "models")
    with pytest.raises(MissingError, match="models/monuseg of the source repository"):
        locate("monuseg")
    shutil.rmtree(shipped / "weights")
    with pytest.raises(MissingError, match="install segdiff again"):
        locate("nuclei")


def test_an_unknown_name_lists_the_known_ones(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["predict", "--model", "nuclie", "--image", "a.png"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "nuclie" in line and "nuclei, monuseg" in line


@pytest.mark.parametrize(
    "name, said",
    [("", "none is given"), ("nuclei/", "called nuclei: text, without a slash"), (Path("nuclei"), "without a slash")],
)
def test_names_that_are_nearly_right(name, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingError, match=said):
        locate(name)


@pytest.mark.parametrize("licence", ["CC BY-NC 4.0", "cc-by-nc-sa-4.0", "other-noncommercial"])
def test_ways_to_write_a_licence(licence, shipped, caplog):
    save_artifact(replace(make_artifact(), training={"license": licence}), shipped / "models" / "monuseg")
    with caplog.at_level(logging.WARNING):
        from_pretrained("monuseg")
    assert "not for commercial use" in caplog.text


def test_a_licence_that_is_not_free_is_told_when_the_model_is_loaded(shipped, caplog):
    with caplog.at_level(logging.WARNING):
        load_predictor("nuclei", device="cpu")
        assert not caplog.records
        load_predictor("monuseg", device="cpu")
    assert "not for commercial use" in caplog.text and "monuseg" in caplog.text


def test_the_command_lists_them(shipped, capsys):
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    for part in ("nuclei", "apache-2.0", "dice 0.750", "the slides of somebody", "native, 3 images", "cc-by-nc-sa-4.0"):
        assert part in said
    assert main(["models", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["name"] == "nuclei" and first["scores"] == [SCORE] and second["license"] == "cc-by-nc-sa-4.0"
    shutil.rmtree(shipped / "models")
    assert main(["models"]) == 0
    assert "take models/monuseg from the source repository" in capsys.readouterr().out
