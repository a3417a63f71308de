"""A training that died goes on as if nothing had happened; what cannot be written leaves nothing behind."""

import csv
import json
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from fakes import TINY_MODEL
from small_runs import assert_same_run, config, quiet

import segdiff
from segdiff.data.augment import build_augmentation
from segdiff.data.datasets import dataset_from_config
from segdiff.data.loader import TrainingSamples
from segdiff.data.writers import atomic, write_float_tiff
from segdiff.errors import OutputError, TrainingError, UserError
from segdiff.models.build import build_segmenter
from segdiff.models.normalisation import Normalisation
from segdiff.training.checkpoint import load_checkpoint, save_checkpoint
from segdiff.training.evidence import gradient_norms
from segdiff.training.interrupt import Interruption
from segdiff.training.loop import Trainer
from segdiff.training.run import run_training
from segdiff.training.run_folder import RunFolder
from segdiff.training.settings import OptimizerSettings, TrainerSettings

KILLED = """
import json, os, signal, sys
from pathlib import Path
import torch
from segdiff.training.run import run_training

original, saves = torch.save, []

def dying(state, file):
    if "optimizer" in state:
        saves.append(None)
    if len(saves) == 2:  # the second checkpoint: half of it is written
        original(state, sys.argv[3])
        content = Path(sys.argv[3]).read_bytes()
        file.write(content[: len(content) // 2])
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    original(state, file)

torch.save = dying
run_training(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
"""


def test_rule_3_killed_in_the_middle_of_a_checkpoint(whole, pictures, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(config(pictures)))
    arguments = [str(tmp_path / name) for name in ("config.json", "run", "half.pt")]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr[-3000:]
    folder = tmp_path / "run" / "checkpoints"
    assert load_checkpoint(folder / "last.pt")["step"] == 3  # that of the first validation is whole
    assert len(list(folder.glob(".*.tmp"))) == 1  # and the half one bears another name
    run_training({**config(pictures), "resume": "auto"}, tmp_path / "run", say=quiet)
    assert_same_run(whole[0], tmp_path / "run")


@pytest.mark.parametrize(("before", "after"), [(0, 2), (2, 1)])
def test_rule_3_another_number_of_workers_changes_nothing(whole, pictures, tmp_path, before, after):
    run_training(config(pictures, workers=before, max_minutes=0), tmp_path / "run", say=quiet)
    run_training({**config(pictures, workers=after), "resume": "auto"}, tmp_path / "run", say=quiet)
    assert_same_run(whole[0], tmp_path / "run")


def test_cut_at_every_step(whole, pictures, tmp_path):
    for _ in range(6):
        run_training({**config(pictures, max_minutes=0), "resume": "auto"}, tmp_path / "run", say=quiet)
    assert_same_run(whole[0], tmp_path / "run")


def test_the_trainer_needs_neither_configurations_nor_trackers(pictures, tmp_path):
    """From objects alone; with the settings of `whole` it trains the same weights."""
    data = dataset_from_config({"kind": "folder", "root": str(pictures), "protocol": "native"}, "train")
    augment = build_augmentation({"crop": 16, "horizontal_flip": True})

    def trainer():
        torch.manual_seed(0)
        segmenter = build_segmenter(TINY_MODEL, {"schedule": "linear", "steps": 25, "prediction": "x_0"})
        samples = TrainingSamples(data, Normalisation("per_image"), augment, seed=0)
        settings = TrainerSettings(max_steps=4, batch_size=2, ema=0.9)
        optimizer = OptimizerSettings(lr=2e-3, clip_norm=1.0)
        return Trainer(segmenter, samples, settings, optimizer, RunFolder(tmp_path / "run"))

    (tmp_path / "run").mkdir()
    first = trainer()
    assert first.run().step == 4 and first.finished
    again = trainer()
    again.resume()
    assert again.state.step == 4
    for a, b in zip(first.average.model.parameters(), again.average.model.parameters(), strict=True):
        assert torch.equal(a, b)
    modules = {name.partition(".")[0] for name in sys.modules}
    code = "import sys, segdiff.training.loop; print({'hydra', 'omegaconf', 'wandb'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()" and "torch" in modules


def test_curves_with_a_row_that_was_cut_are_read(pictures, tmp_path):
    run_training(config(pictures, max_minutes=0, log_every=1), tmp_path / "run", say=quiet)
    curves = tmp_path / "run" / "metrics.csv"
    with curves.open("a") as file:
        file.write("2,4,0.0")
    run_training({**config(pictures, log_every=1), "resume": "auto"}, tmp_path / "run", say=quiet)
    rows = list(csv.DictReader(curves.read_text().splitlines()))
    assert [row["step"] for row in rows if row["loss"]] == ["1", "2", "3", "4", "5", "6"]


# A disk that takes no more.


@contextmanager
def room_for(size):
    """No file may grow beyond `size` bytes: what a full disk is to the one who writes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: save_checkpoint({"step": 1, "model": {"a": torch.zeros(50_000)}}, path),
        lambda path: write_float_tiff(path, np.random.default_rng(0).random((200, 200))),
    ],
)
def test_what_does_not_fit_leaves_what_was_there(tmp_path, write):
    path = tmp_path / "file"
    path.write_bytes(b"the one before")
    with room_for(10_000), pytest.raises(OutputError, match="file cannot be written: File too large; write to"):
        write(path)
    assert [p.name for p in tmp_path.iterdir()] == ["file"] and path.read_bytes() == b"the one before"


def test_a_full_disk_ends_a_training_with_its_checkpoint_whole(whole, pictures, tmp_path):
    run_training(config(pictures, max_minutes=0), tmp_path / "run", say=quiet)
    with room_for(20_000), pytest.raises(OutputError, match="cannot be written"):
        run_training({**config(pictures), "resume": "auto"}, tmp_path / "run", say=quiet)
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["step"] == 1
    assert not list((tmp_path / "run").rglob(".*"))
    run_training({**config(pictures), "resume": "auto"}, tmp_path / "run", say=quiet)
    assert_same_run(whole[0], tmp_path / "run")


def test_the_system_is_quoted(tmp_path):
    with pytest.raises(OutputError, match=r"file/under/it cannot be written: Not a directory"):
        (tmp_path / "file").write_text("")
        with atomic(tmp_path / "file" / "under" / "it"):
            raise AssertionError("not reached")


# A loss that is not finite, masks that say nothing.


def test_evidence_of_a_loss_that_is_not_finite(pictures, tmp_path):
    settings = config(pictures)
    settings["optimizer"] = {"lr": 1e30}
    with pytest.raises(TrainingError) as caught:
        run_training(settings, tmp_path / "run", say=quiet)
    (path,) = (tmp_path / "run").glob("not_finite_step_*.pt")
    kept = load_checkpoint(path)
    said = str(caught.value)
    assert f"step {kept['step']}: the loss is" in said and str(path) in said and "optimizer.lr" in said
    assert len(kept["names"]) == 2 and all(name in said for name in kept["names"])
    assert kept["batch_image"].shape == (2, 3, 16, 16) and kept["batch_mask"].shape == (2, 1, 16, 16)
    norms = kept["gradient_norms"]
    assert not np.isfinite(next(iter(norms.values()))) and next(iter(norms)) in said  # the culprits come first
    assert set(norms) <= set(kept["model"])


def test_gradient_norms_come_with_the_broken_ones_first():
    module = torch.nn.ModuleDict({name: torch.nn.Linear(1, 1, bias=False) for name in ("a", "b", "c", "d")})
    for name, value in (("a", 1.0), ("b", float("nan")), ("c", 3.0)):
        module[name].weight.grad = torch.full((1, 1), value)
    assert list(gradient_norms(module)) == ["b.weight", "c.weight", "a.weight"]


def test_masks_that_stay_blank_are_told(pictures, tmp_path, capsys):
    """What the published recipe does in fp16: every mask is black and no number is unusual."""
    settings = config(pictures, validate_every=2)
    settings["optimizer"] = {"lr": 1e-12}  # the output layer begins at zero: a probability of 0.5 is no object
    said = []
    run_training(settings, tmp_path / "run", say=said.append)
    err = capsys.readouterr().err
    assert "every mask of the last 2 validations is blank" in err and "last 3 validations" in err
    assert "optimizer.lr" in err
    assert any("every validation mask is blank" in line for line in said)


def test_masks_that_say_something_are_no_matter(whole, pictures, tmp_path, capsys):
    settings = config(pictures, max_steps=60, validate_every=30)
    settings["optimizer"] = {"lr": 1e-2}
    said = []
    run_training(settings, tmp_path / "run", say=said.append)
    assert "blank" not in capsys.readouterr().err + "".join(said)


def test_the_best_of_another_time_is_not_delivered(whole, pictures, tmp_path):
    """A kill after best.pt and before last.pt leaves it alone; the next run in that folder is another."""
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "best.pt").write_bytes((whole[0] / "checkpoints" / "best.pt").read_bytes())
    run_training({**config(pictures, max_minutes=0), "seed": 5}, folder, say=quiet)
    wanted = load_checkpoint(folder / "checkpoints" / "last.pt")["average"]
    got = segdiff.load(folder / "model", device="cpu").segmenter.state_dict()
    assert all(torch.equal(wanted[name], value) for name, value in got.items())


def test_a_checkpoint_of_another_kind_is_no_place_to_go_on_from(whole, pictures, tmp_path):
    run_training(config(pictures, max_minutes=0), tmp_path / "run", say=quiet)
    last = tmp_path / "run" / "checkpoints" / "last.pt"
    last.write_bytes((whole[0] / "checkpoints" / "best.pt").read_bytes())
    with pytest.raises(UserError, match="not a checkpoint to go on from"):
        run_training({**config(pictures), "resume": "auto"}, tmp_path / "run", say=quiet)


def test_memory_that_does_not_suffice_is_one_line(pictures, tmp_path, monkeypatch):
    def full(self, batch):
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(Trainer, "_step", full)
    with pytest.raises(UserError, match="smaller trainer.batch_size"):
        run_training(config(pictures), tmp_path / "run", say=quiet)


def test_a_second_signal_does_not_cut_a_checkpoint(tmp_path):
    with Interruption() as interruption:
        with interruption.held():
            for _ in range(3):
                signal.raise_signal(signal.SIGTERM)
        assert interruption.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
