"""The programs of tools/ beside train.py."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from fakes import TINY_FAST
from PIL import Image

from segdiff.artifacts.folder import Artifact, load_artifact, save_artifact
from segdiff.artifacts.members import load_ensemble
from segdiff.data.datasets import build_dataset
from segdiff.data.images import read_image
from segdiff.diffusion.sampling import Sampling
from segdiff.models.build import build_segmenter
from segdiff.models.normalisation import Normalisation

TOOLS = Path(__file__).resolve().parents[1] / "tools"


def run(tool, *argv):
    command = [sys.executable, str(TOOLS / tool), *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def disc(radius, size=96):
    rows, columns = np.mgrid[:size, :size]
    return ((rows - size // 2) ** 2 + (columns - size // 2) ** 2 <= radius**2).astype(np.uint16)


@pytest.fixture
def bowls(tmp_path):
    """Two folders as the tool reads them: of stained tissue, and mixed, with its index one above."""
    looks = {
        "stained": [("a", "violet", "g1", 30), ("b", "pink", "g2", 10)],
        "mixed/train": [("c", "fluorescence", "g3", 4), ("d", "violet", "g1", 30)],
    }
    for folder, pictures in looks.items():
        for stem, _, _, radius in pictures:
            mask = disc(radius)
            for kind, array in (("images", (mask * 100 + 20).astype(np.uint8)), ("masks", mask)):
                (tmp_path / folder / kind).mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(tmp_path / folder / kind / f"{stem}.png")
        index = tmp_path / folder.split("/")[0] / "index.csv"
        rows = [f"{stem},{look},{group}" for stem, look, group, _ in pictures]
        index.write_text("\n".join(["stem,look,group", *rows, *(["elsewhere,white,g9"] if "/" in folder else [])]))
    return tmp_path


def test_training_data_for_nuclei(bowls):
    argv = ["--stained", bowls / "stained", "--mixed", bowls / "mixed/train", "--out", bowls / "out"]
    done = run("prepare_nuclei.py", *argv)
    assert done.returncode == 0, done.stderr
    assert "2 pictures of stained tissue, 1 others" in done.stdout
    rows = {row["stem"]: row for row in csv.DictReader((bowls / "out" / "index.csv").read_text().splitlines())}
    assert {stem: row["group"] for stem, row in rows.items()} == {"a": "g1", "b": "g2", "c": "g3"}
    assert rows["c"]["repeat"] == "1" and rows["b"]["repeat"] == "8"
    sizes = {stem: read_image(bowls / "out" / "images" / f"{stem}.png").shape[1] for stem in rows}
    assert sizes["b"] == 96 and sizes["a"] == pytest.approx(48, abs=2) and sizes["c"] > 150  # 30 and 16 pixels wide
    assert len(build_dataset("folder", bowls / "out", "all")) == 3
    again = run("prepare_nuclei.py", *argv)
    assert again.returncode == 2 and again.stderr.count("\n") == 1 and "exists" in again.stderr


def test_organs_stay_as_they_are_and_small_ones_come_more_often(bowls):
    mask = disc(30)
    for kind, array, suffix in (("images", (mask * 100 + 20).astype(np.uint8), "jpg"), ("masks", mask, "png")):
        (bowls / "organs" / kind).mkdir(parents=True)
        for number in range(17):
            Image.fromarray(array).save(bowls / "organs" / kind / f"o_{number:02}.{suffix}")
    organ_of = {f"o_{number:02}": "liver" if number else "heart" for number in range(17)}
    lines = [f"{name},{organ},{organ}" for name, organ in organ_of.items()]
    (bowls / "organs" / "index.csv").write_text("\n".join(["name,organ,group", *lines]))
    done = run(
        "prepare_nuclei.py",
        *("--organs", bowls / "organs", "--mixed", bowls / "mixed/train", "--out", bowls / "out"),
    )
    assert done.returncode == 0, done.stderr
    assert "17 pictures of stained tissue, 1 others" in done.stdout
    rows = {row["stem"]: row for row in csv.DictReader((bowls / "out" / "index.csv").read_text().splitlines())}
    assert rows["o_00"] == {"stem": "o_00", "group": "heart", "look": "organ", "repeat": "3"}
    assert rows["o_05"]["repeat"] == "1" and rows["c"]["repeat"] == "2"
    assert read_image(bowls / "out" / "images" / "o_05.png").shape[:2] == mask.shape


def test_pictures_of_one_kind_alone(bowls):
    done = run("prepare_nuclei.py", "--mixed", bowls / "mixed/train", "--out", bowls / "out")
    assert done.returncode == 0 and "0 pictures of stained tissue, 1 others" in done.stdout, done.stderr
    both = ["--stained", bowls / "stained", "--mixed", bowls / "mixed/train"]
    done = run("prepare_nuclei.py", *both, "--looks", "fluorescence", "--out", bowls / "few")
    assert done.returncode == 0 and "0 pictures of stained tissue, 1 others" in done.stdout, done.stderr
    wrong = run("prepare_nuclei.py", *both, "--looks", "florescence", "--out", bowls / "none")
    assert wrong.returncode == 2 and "there are" in wrong.stderr and not (bowls / "none").exists()
    nothing = run("prepare_nuclei.py", "--out", bowls / "none")
    assert nothing.returncode == 2 and "--mixed" in nothing.stderr and not (bowls / "none").exists()


def test_a_folder_that_is_none_leaves_nothing(bowls):
    done = run(
        "prepare_nuclei.py", "--stained", bowls / "nowhere", "--mixed", bowls / "mixed/train", "--out", bowls / "o"
    )
    assert done.returncode == 2 and "index.csv" in done.stderr and not (bowls / "o").exists()
    (bowls / "stained" / "masks" / "a.png").unlink()
    done = run(
        "prepare_nuclei.py", "--stained", bowls / "stained", "--mixed", bowls / "mixed/train", "--out", bowls / "o"
    )
    assert done.returncode == 2 and "a.png" in done.stderr and not (bowls / "o").exists()


def test_a_model_is_released_with_facts_and_scores_of_files(tmp_path):
    artifact = Artifact(
        build_segmenter(TINY_FAST, {}), TINY_FAST, {}, Normalisation(), Sampling("ddim", steps=2, chains=2), INFERENCE
    )
    save_artifact(replace(artifact, training={"steps": 7, "images": 3, "data": "folder"}), tmp_path / "model")
    facts = {
        "name": "nuclei",
        "license": "apache-2.0",
        "data": "slides",
        "limits": ["It fails on cats."],
        "scored": {"cats": {"of": "cats", "command": "segdiff evaluate cats"}},
    }
    (tmp_path / "facts.yaml").write_text(yaml.safe_dump(facts))
    folds = [
        {"protocol": "paper", "per_image": [{"name": str(n), "dice": n / 10} for n in part]} for part in ((1, 2), (6,))
    ]
    (tmp_path / "cats.json").write_text(json.dumps({"folds": folds}))
    argv = ["--model", tmp_path / "model", "--facts", tmp_path / "facts.yaml", "--scores", tmp_path / "cats.json"]
    for _ in range(2):  # a model that is there is replaced
        done = run("release_model.py", *argv, "--views", 4, "--out", tmp_path / "nuclei")
        assert done.returncode == 0, done.stderr
    found = load_artifact(tmp_path / "nuclei")
    assert found.sampling.views == 4 and found.training["steps"] == 7 and found.training["data"] == "slides"
    (score,) = found.training["scores"]
    assert score["values"] == {"dice": 0.3} and score["images"] == 3 and score["protocol"] == "paper"
    card = (tmp_path / "nuclei" / "README.md").read_text()
    for part in (
        "license: apache-2.0",
        "# nuclei",
        "| cats | paper | 3 | 0.3000 [",
        "It fails on cats",
        "evaluate cats",
    ):
        assert part in card
    facts["scored"] = {}
    (tmp_path / "facts.yaml").write_text(yaml.safe_dump(facts))
    done = run("release_model.py", *argv, "--out", tmp_path / "nuclei")
    assert done.returncode == 2 and "do not say what cats is of" in done.stderr
    assert (tmp_path / "nuclei" / "README.md").read_text() == card


def test_several_models_are_released_as_an_ensemble(tmp_path):
    for name in ("a", "b"):
        made = Artifact(
            build_segmenter(TINY_FAST, {}), TINY_FAST, {}, Normalisation(), Sampling("ddim", steps=2), INFERENCE
        )
        save_artifact(replace(made, training={"steps": 7}), tmp_path / name / "model")
    facts = {"name": "pair", "license": "cc0-1.0", "members": {"fine": {"summary": "Finer than the other."}}}
    (tmp_path / "facts.yaml").write_text(yaml.safe_dump(facts))
    (tmp_path / "folds.json").write_text(json.dumps({"calibration": {"temperature": 1.5, "threshold": 0.4}}))
    argv = [
        "--facts",
        tmp_path / "facts.yaml",
        "--calibration",
        tmp_path / "folds.json",
        f"fine={tmp_path / 'fine.json'}",
    ]
    (tmp_path / "fine.json").write_text(json.dumps({"calibration": {"temperature": 2.0, "threshold": 0.3}}))
    argv += ["--out", tmp_path / "pair"]
    save_artifact(made, tmp_path / "pair")  # a single model was there
    named = [f"fine={tmp_path / 'a/model'}", f"coarse={tmp_path / 'b/model'}"]
    done = run("release_model.py", "--model", *named, *argv)
    assert done.returncode == 0, done.stderr
    found = load_ensemble(tmp_path / "pair")
    assert list(found.members) == ["fine", "coarse"] and "members" not in found.training
    assert found.inference == {"temperature": 1.5, "threshold": 0.4}
    assert [one.inference["threshold"] for one in found.members.values()] == [0.3, 0.5]
    for member in found.members.values():
        assert member.training["steps"] == 7 and member.training["license"] == "cc0-1.0"
    assert found.members["fine"].training["summary"] == "Finer than the other."
    assert not (tmp_path / "pair" / "model.safetensors").exists()
    done = run("release_model.py", "--model", named[0], tmp_path / "b/model", *argv)
    assert done.returncode == 2 and "NAME=FOLDER" in done.stderr


INFERENCE = {"window": 32, "overlap": 0.25, "weights": "gaussian", "threshold": 0.5}
