import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fakes import TINY_MODEL, change_config, make_artifact
from safetensors.torch import save_file

from segdiff.artifacts.folder import load_artifact, save_artifact
from segdiff.errors import ArtifactError, MissingError


def test_rule_5_saving_and_loading_changes_nothing(folder):
    before, after = make_artifact(), load_artifact(folder)
    wanted = before.segmenter.state_dict()
    assert all(torch.equal(wanted[name], value) for name, value in after.segmenter.state_dict().items())
    assert (after.normalisation, after.sampling) == (before.normalisation, before.sampling)
    assert (after.model, after.diffusion, after.inference) == (before.model, before.diffusion, before.inference)
    assert after.scale == before.scale and not after.segmenter.training
    assert after.segmenter.schedule.steps == 10 and after.segmenter.prediction == "v"


def test_folder_holds_plain_files_and_a_card(folder):
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.yaml", "model.safetensors"]
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: segdiff\n") and "license: cc0-1.0" in card


def test_identity_follows_the_weights_and_settings(folder, tmp_path):
    first = load_artifact(folder).identity
    assert first.startswith("model@") and len(first) == len("model@") + 12
    assert load_artifact(save_artifact(make_artifact(), tmp_path / "model")).identity == first
    assert load_artifact(save_artifact(make_artifact(seed=1), tmp_path / "model")).identity != first
    # A card that learns more of a training does not make another model; another threshold does.
    told = replace(make_artifact(), training={"data": "made up", "scores": []})
    assert load_artifact(save_artifact(told, tmp_path / "model")).identity == first
    strict = replace(make_artifact(), inference={**make_artifact().inference, "threshold": 0.6})
    assert load_artifact(save_artifact(strict, tmp_path / "model")).identity != first
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("also", ["photo.png", "config.yaml"])
def test_a_folder_of_other_things_is_left_alone(tmp_path, also):
    """A run folder has a config.yaml, too."""
    for name in {also, "metrics.csv"}:
        (tmp_path / name).write_text("x")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ArtifactError, match="holds other things than a model"):
        save_artifact(make_artifact(), tmp_path)
    assert sorted(tmp_path.iterdir()) == before


def test_missing_parts_are_named(folder, tmp_path):
    with pytest.raises(MissingError, match="config.yaml"):
        load_artifact(tmp_path / "nowhere")
    (folder / "model.safetensors").unlink()
    with pytest.raises(MissingError, match="model.safetensors"):
        load_artifact(folder)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"format_version": 99}, "format version 99"),
        ({"extra": 1}, "extra is not known"),
        ({"model": {"kind": "os.system"}}, "kind=os.system"),
        ({"model": {**TINY_MODEL, "_target_": "os.system"}}, "_target_"),
        ({"model": {**TINY_MODEL, "channels": 12}}, "does not fit"),
        ({"sampling": {"sampler": "euler"}}, "euler"),
        ({"sampling": {"speed": 1}}, "speed"),
        ({"inference": {"window": 64}}, "inference.overlap is missing"),
        ({"scale": None}, "scale is not a mapping"),
    ],
)
def test_a_config_that_is_not_ours_is_refused_with_a_line(folder, values, said):
    change_config(folder, **values)
    with pytest.raises(ArtifactError, match=said) as error:
        load_artifact(folder)
    assert "\n" not in str(error.value)


def test_code_in_a_file_is_refused_and_not_run(folder, tmp_path):
    trap = tmp_path / "ran"

    class Hostile:
        def __reduce__(self):
            return open, (str(trap), "w")

    (folder / "model.safetensors").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(ArtifactError, match="does not fit"):
        load_artifact(folder)
    (folder / "config.yaml").write_text(f"format_version: !!python/object/apply:builtins.open ['{trap}', 'w']\n")
    with pytest.raises(ArtifactError, match="plain YAML"):
        load_artifact(folder)
    assert not trap.exists()


def test_tensors_of_another_network_are_refused(folder):
    save_file({"a": torch.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(ArtifactError, match="does not fit"):
        load_artifact(folder)


def test_a_replacement_that_is_cut_between_its_two_steps_loses_nothing(folder, monkeypatch):
    before, steps = load_artifact(folder).identity, []

    def replace_once(self, target, real=Path.replace):
        steps.append(self)
        if len(steps) == 2:
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace_once)
    with pytest.raises(KeyboardInterrupt):
        save_artifact(make_artifact(seed=1), folder)
    assert load_artifact(folder).identity == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
