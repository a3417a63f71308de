"""Every choice in conf/ composes, and is accepted by what reads it."""

from dataclasses import asdict, fields
from pathlib import Path

import pytest
import torch

from segdiff.data.augment import Settings as AugmentationSettings
from segdiff.data.augment import build_augmentation
from segdiff.data.datasets import DATASETS
from segdiff.data.protocols import get_protocol
from segdiff.errors import ConfigError
from segdiff.models.build import build_segmenter
from segdiff.models.normalisation import Normalisation
from segdiff.settings import plain, read_settings
from segdiff.training.configs import compose, conf_folder
from segdiff.training.options import TrainOptions, read_options
from segdiff.training.tracking import read_tracking

CHOICES = sorted(p.relative_to(conf_folder()).with_suffix("").as_posix() for p in conf_folder().glob("*/*.yaml"))


def composed(*overrides):
    return compose(["dataset.root=somewhere", *overrides])


@pytest.mark.parametrize("choice", CHOICES)
def test_choice_composes_and_is_accepted(choice):
    group, name = choice.split("/")
    config = composed(f"{group}={name}")
    assert set(config) == {f.name for f in fields(TrainOptions)}
    read_options(config)
    read_tracking(config["tracking"])
    read_settings(Normalisation, "normalisation", config["dataset"]["normalisation"])
    build_augmentation(config["augmentation"])
    assert config["dataset"]["kind"] in DATASETS
    get_protocol(config["dataset"]["protocol"], config["dataset"]["kind"])
    if config["model"]["kind"] == "smp":  # not every encoder can be built without memory
        build_segmenter(config["model"], config["diffusion"])
        return
    with torch.device("meta"):
        build_segmenter(config["model"], config["diffusion"])


def test_published_training_is_the_published_one():
    """With one override."""
    config = composed("experiment=published_monuseg")
    assert config["trainer"]["ema"] == 0.9999 and config["trainer"]["max_steps"] == 300_000
    assert config["optimizer"]["lr"] == 1e-4 and config["optimizer"]["clip_norm"] is None
    assert config["diffusion"]["steps"] == 100 and config["diffusion"]["prediction"] == "epsilon"
    assert config["sampling"]["chains"] == 9 and config["sampling"]["clip"] is False
    assert config["augmentation"]["crop"] == 256 and config["augmentation"]["rotation"] == 22


@pytest.mark.parametrize("name", ["monuseg", "vaihingen", "cityscapes"])
def test_an_experiment_named_published_chooses_what_is_published_in_every_group(name):
    """Nothing of it but the length of a batch and what the data set has of its own is said beside the choices."""
    config = composed(f"experiment=published_{name}")
    of_data = {
        "monuseg": ["augmentation=published", "inference=published"],
        "vaihingen": ["augmentation=published_vaihingen", "inference=published", "trainer.batch_size=8"],
        "cityscapes": ["augmentation=published_cityscapes", "inference=published_cityscapes", "trainer.batch_size=30"],
    }[name]
    chosen = [f"{group}=published" for group in ("diffusion", "optimizer", "trainer", "sampling")]
    said = composed(f"dataset={name}", f"model=segdiff_{name}", *chosen, *of_data)
    config["inference"]["class_name"] = said["inference"]["class_name"]
    assert config == said


def test_the_augmentation_none_names_every_setting_and_what_changes_nothing():
    """The others give what differs from it: a setting that it lacked could not be given on the command line."""
    config = composed("augmentation=none")["augmentation"]
    assert config == plain({**asdict(AugmentationSettings()), "crop": 256})
    for path in (conf_folder() / "augmentation").glob("*.yaml"):
        assert composed(f"augmentation={path.stem}")["augmentation"].keys() == config.keys()


@pytest.mark.parametrize("path", sorted(conf_folder().glob("*/*.yaml")), ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_file_says_what_it_is(path: Path):
    first = path.read_text().splitlines()[:2]
    assert any(line.startswith("# ") and len(line) > 20 for line in first), f"{path}: begin with a comment"


@pytest.mark.parametrize(
    "name",
    [
        "plain",
        "Gewebe Färbung",
        "a=b",
        "a;b",
        "a,b",
        "[a]",
        "{a: b}",
        "it's",
        'say "this"',
        "$HOME",
        "back\\slash",
        'both \\" of them',
        "ends with \\",
        "a#b",
        "(a)",
        "null",
        "1e3",
    ],
)
@pytest.mark.parametrize("key", ["dataset.root", "run.dir"])
def test_paths_work_as_typed(tmp_path, monkeypatch, name, key):
    folder = tmp_path / name
    folder.mkdir()
    group, setting = key.split(".")
    assert compose(["dataset.root=x", f"{key}={folder}"])[group][setting] == str(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert compose(["dataset.root=x", f"{key}=~/{name}"])[group][setting] == str(folder)
    assert compose(["dataset.root=x", f"dataset.root='{tmp_path}/of quotes'"])["dataset"]["root"] == (
        f"{tmp_path}/of quotes"
    )


@pytest.mark.parametrize("name", ["a=b", "[a", "a;b c", "a,b"])
def test_paths_that_are_not_there_say_how_to_quote_or_are_kept(name):
    try:
        found = compose([f"dataset.root=/nowhere/{name}"])["dataset"]["root"]
    except ConfigError as error:
        assert f"'dataset.root=\"/nowhere/{name}\"'" in str(error)
    else:
        assert found == f"/nowhere/{name}"
