"""A run goes on with the images that it was begun with, and no weights are chosen by images without objects."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from small_runs import config, quiet

from segdiff.errors import ConfigError
from segdiff.training.recorded_split import check_split
from segdiff.training.run import run_training


def write_pair(root, name: str, blank: bool = False) -> None:
    """An image and its mask, 16 x 16."""
    rng = np.random.default_rng(sum(name.encode()))
    mask = np.zeros((16, 16), np.uint8)
    if not blank:
        mask[3:9, 4:11] = 255
    for part, array in (("images", rng.integers(0, 255, (16, 16, 3)).astype(np.uint8)), ("masks", mask)):
        (root / part).mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(root / part / f"{name}.png")


def begun(folder, **parts: list[str]):
    """A folder with the record of a run that was begun with these images."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.pt").touch()
    (folder / "split.json").write_text(json.dumps(parts))
    return folder


@pytest.mark.parametrize(
    ("train", "val", "said"),
    [
        (["a", "b", "e"], ["c"], "new: e"),
        (["a"], ["c"], "gone: b"),
        (["a", "b"], [], "gone: c"),
        (["a", "c"], ["b"], "from training to validation: b; from validation to training: c"),
        (["a", "b", "w", "x", "y", "z"], ["c"], "new: w, x, y and 1 more"),
    ],
)
def test_what_changed_is_named(tmp_path, train, val, said):
    folder = begun(tmp_path / "run", train=["a", "b"], val=["c"])
    check_split(folder, {"train": ["a", "b"], "val": ["c"]})
    with pytest.raises(ConfigError) as error:
        check_split(folder, {"train": train, "val": val})
    assert f"({said})" in str(error.value) and "run.name" in str(error.value) and "\n" not in str(error.value)


def test_runs_of_before_there_was_a_record_and_folders_without_a_run(tmp_path):
    folder = begun(tmp_path / "run", train=["a"], val=[])
    (folder / "checkpoints" / "last.pt").unlink()
    check_split(folder, {"train": ["b"], "val": []})  # nothing to lose
    (folder / "checkpoints" / "last.pt").touch()
    (folder / "split.json").write_text("{")
    with pytest.raises(ConfigError, match="not the split of a run"):
        check_split(folder, {"train": ["b"], "val": []})
    (folder / "split.json").unlink()
    check_split(folder, {"train": ["b"], "val": []})


def test_a_run_refuses_other_images_and_goes_on_with_its_own(tmp_path):
    root, run = tmp_path / "data", tmp_path / "run"
    for name in "abcde":
        write_pair(root, name)
    settings = config(root, max_minutes=0, final_evaluation=False)
    run_training(settings, run, say=quiet)
    parts = json.loads((run / "split.json").read_text())
    assert sorted(parts["train"] + parts["val"]) == list("abcde") and parts["val"]
    write_pair(root, "f")
    with pytest.raises(ConfigError, match="new: f"):
        run_training({**settings, "resume": "auto"}, run, say=quiet)
    for part in ("images", "masks"):
        (root / part / "f.png").unlink()
    said: list[str] = []
    run_training({**settings, "resume": "auto"}, run, say=said.append)
    assert any("going on with" in line for line in said)


def test_validation_images_without_objects_choose_nothing(tmp_path):
    root, run, said = tmp_path / "data", tmp_path / "run", []
    for name in "abcd":
        write_pair(root / "train", name)
        write_pair(root / "val", f"v{name}", blank=True)
    result = run_training(config(root, validate_every=1, max_steps=3), run, say=said.append)
    assert any("no object is in any of the 4 validation image(s)" in line for line in said)
    assert said.index(next(line for line in said if "no object is in" in line)) < said.index(
        next(line for line in said if "images to train" in line)
    )
    assert "4 images to train, 0 to validate" in " ".join(said) and np.isnan(result["dice"])
    assert not (run / "checkpoints" / "best.pt").exists()
    stored = (run / "model" / "config.yaml").read_text()
    assert "temperature: 1" in stored.replace("1.0", "1") or "temperature" not in stored
    assert "steps: 3" in (run / "model" / "README.md").read_text()


def test_the_newest_weights_where_validation_says_nothing(tmp_path):
    root, said = tmp_path / "data", []
    for name in "abcd":
        write_pair(root / "train", name)
        write_pair(root / "val", f"v{name}", blank=name != "d")
    settings = config(root, validate_every=1, max_steps=3, validation_images=2, final_evaluation=False)
    run_training(settings, tmp_path / "run", say=said.append)
    assert any("no object is in the first 2 validation image(s)" in line for line in said)
    assert "steps: 3" in (tmp_path / "run" / "model" / "README.md").read_text()
