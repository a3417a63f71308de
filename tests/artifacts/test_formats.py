"""Models of format 1 are read for good, and stay the same model when they are written anew."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from fakes import TINY_MODEL, make_artifact

import segdiff
from segdiff.artifacts.exports import OF
from segdiff.artifacts.folder import KEYS, load_artifact, save_artifact
from segdiff.errors import ArtifactError
from segdiff.inference.options import InferenceSettings
from segdiff.models.build import build_segmenter
from segdiff.settings import plain

SHIPPED = sorted((Path(segdiff.__file__).parent / "weights").iterdir())
FORMER = {"mask": ["mask"], "instances": ["mask", "core"]}


def make(kind):
    made = make_artifact()
    torch.manual_seed(0)
    inference = {**plain(InferenceSettings(window=64)), "class_name": "Nucleus"}
    return replace(made, segmenter=build_segmenter(TINY_MODEL, made.diffusion, {"kind": kind}), inference=inference)


def as_format_1(folder, kind):
    """Rewrite a model's configuration as version 0.1 of segdiff wrote it."""
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text())
    assert config.pop("target") == {"kind": kind}
    config["format_version"] = 1
    config["model"]["mask_channels"] = len(FORMER[kind])
    config["inference"]["channels"] = FORMER[kind]
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return folder


@pytest.mark.parametrize("kind", FORMER)
def test_format_1_is_read_and_written_anew_as_the_same_model(kind, tmp_path):
    new = load_artifact(save_artifact(make(kind), tmp_path / "new" / "model"))
    old = load_artifact(as_format_1(save_artifact(make(kind), tmp_path / "old" / "model"), kind))
    assert old.target == new.target == {"kind": kind}
    assert old.model == new.model and old.inference == new.inference and old.identity == new.identity
    again = save_artifact(old, tmp_path / "again" / "model")
    assert load_artifact(again).identity == old.identity
    stored = yaml.safe_load((again / "config.yaml").read_text())
    assert stored["format_version"] == 2 and set(stored) == set(KEYS) and "channels" not in stored["inference"]
    assert stored == yaml.safe_load((tmp_path / "new" / "model" / "config.yaml").read_text())


def test_exports_of_format_1_are_kept(tmp_path):
    folder = as_format_1(save_artifact(make("mask"), tmp_path / "model"), "mask")
    (folder / "onnx").mkdir()
    (folder / "onnx" / OF).write_text("x")
    save_artifact(load_artifact(folder), folder)
    assert (folder / "onnx" / OF).is_file()
    other = replace(make("mask"), inference={**make("mask").inference, "threshold": 0.6})
    save_artifact(other, folder)
    assert not (folder / "onnx").exists()


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda path: path.name)
def test_what_ships_stays_itself(shipped, tmp_path):
    before = load_artifact(shipped)
    again = load_artifact(save_artifact(before, tmp_path / shipped.name))
    assert again.identity == before.identity and again.target == before.target and again.model == before.model
    # Every hash that a record or an export of it holds was made of the configuration as it is written there.
    assert again.inference == before.inference and plain(again.sampling) == plain(before.sampling)


def test_the_hash_of_format_1_is_that_of_its_own_words(tmp_path):
    import hashlib

    folder = as_format_1(save_artifact(make("instances"), tmp_path / "model"), "instances")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    deciding = {key: value for key, value in config.items() if key != "training"}
    digest = hashlib.sha256(json.dumps(deciding, sort_keys=True, default=str).encode())
    digest.update((folder / "model.safetensors").read_bytes())
    assert load_artifact(folder).identity == f"model@{digest.hexdigest()[:12]}"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["inference"].update(channels=["core"]), r"channels=\['core'\]: \[mask\] or \[mask, core\]"),
        (lambda c: c["inference"].update(channels=3), "inference.channels=3"),
        (lambda c: c["inference"].update(channels=[["mask"]]), "inference.channels="),
        (lambda c: c.update(inference=None), "inference is not a mapping"),
        (lambda c: c.pop("inference"), "inference is missing"),
        (lambda c: c.update(target={"kind": "mask"}), "target is not known"),
        (lambda c: c["model"].update(mask_channels=1), "mask_channels=1 does not go with target=instances"),
    ],
)
def test_format_1_that_cannot_be(change, said, tmp_path):
    folder = as_format_1(save_artifact(make("instances"), tmp_path / "model"), "instances")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    change(config)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ArtifactError, match=said):
        load_artifact(folder)


@pytest.mark.parametrize(
    "target", [None, "mask", {}, {"kind": "cats"}, {"kind": "mask", "depth": 1}, {"kind": ["mask"]}]
)
def test_targets_that_cannot_be(target, tmp_path):
    folder = save_artifact(make("mask"), tmp_path / "model")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, "target": target}))
    with pytest.raises(ArtifactError, match="target"):
        load_artifact(folder)
