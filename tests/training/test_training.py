"""Training as a user of Python meets it: plain values in, a run folder out. No Hydra, no command line."""

import csv
import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_runs import config, quiet, weights

import segdiff
from segdiff.data.writers import write_mask
from segdiff.errors import ConfigError, TrainingError, UserError
from segdiff.metrics import dice
from segdiff.settings import read_settings
from segdiff.training.checkpoint import load_checkpoint
from segdiff.training.ema import MovingAverage
from segdiff.training.loop import Trainer
from segdiff.training.run import run_training
from segdiff.training.settings import OptimizerSettings, TrainerSettings, learning_rate, total_steps


def rows_of(folder):
    return list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))


def test_run_folder_holds_all_that_a_run_needs(whole):
    folder, result = whole
    for name in ("config.yaml", "curves.png", "checkpoints/best.pt", "panels/step_000003.png", "panels/final.png"):
        assert (folder / name).stat().st_size > 0, name
    rows = rows_of(folder)
    assert [row["step"] for row in rows if row["loss"]] == ["2", "4", "6"]
    assert [row["step"] for row in rows if row["val_dice"]] == ["3", "6"]
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["seed"] == 0 and environment["versions"]["segdiff"] == segdiff.__version__
    scores = json.loads((folder / "validation.json").read_text())
    assert result["dice"] == scores["metrics"]["dice"]["mean"] and result["finished"] is True
    assert scores["n"] == 2 and scores["sampling"]["chains"] == 3


def test_model_of_a_run_predicts_and_knows_its_sampling(whole, pictures):
    predictor = segdiff.load(whole[1]["model"], device="cpu")
    image = np.asarray(Image.open(pictures / "val" / "images" / "0.png"))
    prediction = predictor.predict(image)
    assert prediction.probability.shape == prediction.uncertainty.shape == (32, 40)
    assert prediction.sampling.chains == 3 and prediction.sampling.steps == 2
    assert 9 < predictor.scale["object_diameter_px"] < 16  # discs of radius 7, some cut by the border


def before_the_step(cut):
    """Make `cut` be called before step 4, ..."""
    return Trainer, "_step", 4, cut


def inside_the_step(cut):
    """... after the update of step 2, before its moving average, ..."""
    return MovingAverage, "update", 2, cut


def inside_the_validation(cut):
    """... or in the first validation, which step 3 calls."""
    return Trainer, "_validate", 1, cut


def by_signal():
    signal.raise_signal(signal.SIGTERM)


def by_death():
    raise SystemExit  # nothing is saved: as after SIGKILL, the checkpoint before is all there is


@pytest.mark.parametrize("cut", [by_signal, by_death])
@pytest.mark.parametrize("place", [before_the_step, inside_the_step, inside_the_validation])
def test_rule_3_cut_and_resumed_equals_not_cut_bit_for_bit(whole, pictures, tmp_path, monkeypatch, place, cut):
    settings = config(pictures)
    owner, name, when, cut = place(cut)
    original, calls = getattr(owner, name), []

    def cutting(*arguments):
        calls.append(None)
        if len(calls) == when:
            cut()
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, cutting)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            run_training(settings, tmp_path / "run", say=quiet)
    run_training({**settings, "resume": "auto"}, tmp_path / "run", say=quiet)
    wanted, got = weights(whole[0]), weights(tmp_path / "run")
    assert wanted.keys() == got.keys()
    assert all(torch.equal(wanted[name], got[name]) for name in wanted)
    columns = ("step", "samples", "lr", "loss", "grad_norm", "val_dice", "val_iou")
    curves = [[[row[c] for c in columns] for row in rows_of(folder)] for folder in (whole[0], tmp_path / "run")]
    assert curves[0] == curves[1]
    last = [load_checkpoint(folder / "checkpoints" / "last.pt") for folder in (whole[0], tmp_path / "run")]
    for key in ("step", "best_score", "best_step", "validations_since_best"):
        assert last[0][key] == last[1][key]


def test_max_minutes_ends_the_call_saved_and_the_next_goes_on(whole, pictures, tmp_path):
    said = []
    result = run_training(config(pictures, max_minutes=0), tmp_path / "run", say=said.append)
    assert result["finished"] is False and any("resume=auto" in line for line in said)
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["step"] == 1
    result = run_training({**config(pictures), "resume": "auto"}, tmp_path / "run", say=quiet)
    assert result["finished"] is True
    wanted, got = weights(whole[0]), weights(tmp_path / "run")
    assert all(torch.equal(wanted[name], got[name]) for name in wanted)


def test_a_folder_with_a_run_is_never_overwritten(whole, pictures):
    before = (whole[0] / "metrics.csv").read_bytes()
    with pytest.raises(ConfigError, match="resume=auto"):
        run_training(config(pictures), whole[0], say=quiet)
    with pytest.raises(ConfigError, match="other settings"):
        run_training({**config(pictures, batch_size=4), "resume": "auto"}, whole[0], say=quiet)
    assert (whole[0] / "metrics.csv").read_bytes() == before


def test_patience_stops(pictures, tmp_path):
    settings = config(pictures, max_steps=50, validate_every=1, patience=2)
    settings["optimizer"] = {"lr": 1e-12}  # nothing is learned: no validation beats the first
    run_training(settings, tmp_path / "run", say=quiet)
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["step"] == 3


def test_a_loss_that_is_not_finite_stops_with_the_step(pictures, tmp_path):
    settings = config(pictures)
    settings["optimizer"] = {"lr": 1e30}
    with pytest.raises(TrainingError, match="step [12345]: the loss"):
        run_training(settings, tmp_path / "run", say=quiet)


def test_init_begins_with_the_weights_of_a_model(whole, pictures, tmp_path):
    settings = config(pictures, max_steps=1, init_from=whole[1]["model"])
    settings["optimizer"] = {"lr": 1e-12}
    run_training(settings, tmp_path / "run", say=quiet)
    start, end = segdiff.load(whole[1]["model"]), segdiff.load(tmp_path / "run" / "model")
    for a, b in zip(start.segmenter.parameters(), end.segmenter.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
    settings["model"]["channels"] = 16  # the network is the model's own, and that is said
    said = []
    run_training(settings, tmp_path / "other", say=said.append)
    other = segdiff.load(tmp_path / "other" / "model")
    assert [p.shape for p in other.segmenter.parameters()] == [p.shape for p in start.segmenter.parameters()]
    assert any("network, target (mask) and normalisation are its own" in line for line in said)


@pytest.mark.parametrize(
    ("group", "key", "value", "said"),
    [
        ("trainer", "max_stpes", 3, "trainer.max_stpes is not known"),
        ("trainer", "max_steps", "many", "trainer.max_steps=many: expected a whole number"),
        ("trainer", "workers", -1, "trainer.workers"),
        ("trainer", "precision", "fp16", "precision=fp16"),
        ("trainer", "validation", {"steps": 99}, "1 to 25"),
        ("optimizer", "betas", [0.9], "optimizer.betas"),
        ("sampling", "times", "25x", "respacing"),
        ("inference", "overlap", 2, "overlap"),
        ("inference", "windows", 2, "inference.windows is not known"),
        ("model", "channels", "8", "model.channels=8: expected a whole number"),
        ("model", "mask_channels", 2, "model.mask_channels"),
        ("diffusion", "steps", "25", "diffusion.steps=25"),
        ("trainer", "batch_size", 0, "trainer.batch_size"),
        ("trainer", "ema", 1.5, "trainer.ema"),
        ("optimizer", "decay", "step", "constant, cosine"),
        ("optimizer", "lr", True, "optimizer.lr=True"),
        ("sampling", "sampler", "euler", "ddpm, ddim"),
        ("sampling", "variance", "learned", "predicts no variance|learned"),
        ("dataset", "root", "/nowhere/at/all", "/nowhere/at/all"),
        ("dataset", "kind", "kitti", "kitti"),
    ],
)
def test_settings_that_cannot_be_leave_nothing_behind(pictures, tmp_path, group, key, value, said):
    settings = config(pictures)
    settings[group][key] = value
    if key == "variance":
        settings["sampling"]["sampler"] = "ddpm"
    with pytest.raises(UserError, match=said) as error:
        run_training(settings, tmp_path / "run", say=quiet)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_one_image_is_learned_by_heart(tmp_path):
    """The proof that loss, conversion, sampler and normalisation belong together: Dice >= 0.95 on one real image."""
    examples = Path(__file__).parents[2] / "examples" / "nuclei" / "train"
    name = sorted(p.name for p in (examples / "images").iterdir())[1]
    image = np.asarray(Image.open(examples / "images" / name))[64:128, 96:176]
    mask = np.asarray(Image.open(examples / "masks" / name))[64:128, 96:176] > 0
    for split in ("train", "val"):
        for folder in ("images", "masks"):
            (tmp_path / "data" / split / folder).mkdir(parents=True)
        Image.fromarray(image).save(tmp_path / "data" / split / "images" / "a.png")
        write_mask(tmp_path / "data" / split / "masks" / "a.png", mask)
    settings = config(tmp_path / "data", max_steps=250, batch_size=4, validate_every=0, final_evaluation=False)
    settings["optimizer"] = {"lr": 5e-3, "clip_norm": 1.0, "decay": "cosine"}
    settings["model"]["channel_mult"] = [1, 2, 4]
    settings["augmentation"] = {"crop": 48}
    settings["inference"]["window"] = 128
    result = run_training(settings, tmp_path / "run", say=quiet)
    prediction = segdiff.load(result["model"], device="cpu").predict(image)
    assert dice(prediction.mask, mask) >= 0.95


def test_learning_rate_is_a_function_of_the_step():
    cosine = OptimizerSettings(lr=1.0, warmup_steps=10, decay="cosine")
    assert learning_rate(cosine, 0, 110) == pytest.approx(0.1)
    assert learning_rate(cosine, 9, 110) == pytest.approx(1.0)
    assert learning_rate(cosine, 60, 110) == pytest.approx(0.5)
    assert learning_rate(cosine, 110, 110) == pytest.approx(0.0, abs=1e-12)
    assert learning_rate(OptimizerSettings(lr=3.0), 1000, 10) == 3.0


def test_length_is_of_epochs_where_they_are_given():
    assert total_steps(TrainerSettings(max_steps=100, batch_size=4), images=10) == 100
    assert total_steps(TrainerSettings(max_steps=100, batch_size=4, max_epochs=3), images=10) == 8
    assert total_steps(TrainerSettings(max_steps=5, batch_size=4, max_epochs=3), images=10) == 8


def test_a_data_set_without_validation_images_trains(pictures, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train").symlink_to(pictures / "train")
    said = []
    result = run_training(config(tmp_path / "data"), tmp_path / "run", say=said.append)
    assert any(line.startswith("no validation") for line in said)
    assert np.isnan(result["dice"]) and segdiff.load(result["model"]).identity


def test_moving_average_warms_up():
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    average = MovingAverage(model, 0.999)
    torch.nn.init.ones_(model.weight)
    average.update(model, 0)
    assert average.model.weight.item() == pytest.approx(0.9)  # decay (1 + 0) / (10 + 0)
    average.update(model, 10**6)
    assert average.model.weight.item() == pytest.approx(1 - 0.1 * 0.999)


def test_nested_settings_are_read():
    settings = read_settings(TrainerSettings, "trainer", {"validation": {"steps": 3}})
    assert settings.validation.steps == 3
    with pytest.raises(ConfigError, match="trainer.validation.stpes"):
        read_settings(TrainerSettings, "trainer", {"validation": {"stpes": 3}})
