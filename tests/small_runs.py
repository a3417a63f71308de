"""Trainings of seconds, in plain values and as overrides, and what must be equal of two of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from fakes import TINY_MODEL

from segdiff.training.checkpoint import load_checkpoint
from segdiff.training.curves import read_curves

# Overrides of the smallest training that `segdiff train` takes; `dataset.root` is missing.
TINY = [
    "dataset=folder",
    "model=segdiff_tiny",
    "model.channels=8",
    "model.norm_groups=4",
    "model.rrdb_channels=8",
    "augmentation=dihedral",
    "augmentation.crop=16",
    "trainer.max_steps=2",
    "trainer.batch_size=2",
    "trainer.panels=0",
    "sampling.chains=2",
    "device=cpu",
]


def config(root: Path, **trainer: Any) -> dict[str, Any]:
    """Six steps and two validations on a folder data set, in plain values; `trainer` changes settings of that group."""
    return {
        "seed": 0,
        "device": "cpu",
        "resume": None,
        "dataset": {"kind": "folder", "root": str(root), "protocol": "native", "normalisation": {"kind": "per_image"}},
        "model": dict(TINY_MODEL),
        "diffusion": {"schedule": "linear", "steps": 25, "prediction": "x_0"},
        "augmentation": {"crop": 16, "horizontal_flip": True},
        "optimizer": {"lr": 2e-3, "clip_norm": 1.0},
        "sampling": {"sampler": "ddim", "steps": 2, "chains": 3},
        "inference": {"window": 32, "overlap": 0.25, "weights": "gaussian", "threshold": 0.5},
        "trainer": {
            "max_steps": 6,
            "batch_size": 2,
            "validate_every": 3,
            "log_every": 2,
            "panels": 1,
            "ema": 0.9,
            "validation": {"sampler": "ddim", "steps": 1, "chains": 1},
            **trainer,
        },
    }


def quiet(line: str) -> None:
    """Take what a training says."""


def weights(folder: str | Path) -> dict[str, torch.Tensor]:
    """Read the weights and their moving average from the newest checkpoint of a run."""
    saved = load_checkpoint(Path(folder) / "checkpoints" / "last.pt")
    return {**saved["model"], **{f"average.{k}": v for k, v in saved["average"].items()}}


def assert_same_run(one: Path, other: Path) -> None:
    """Assert that two runs have the same weights, averages and curves, to the last bit."""
    wanted, got = weights(one), weights(other)
    assert wanted.keys() == got.keys()
    assert all(torch.equal(wanted[name], got[name]) for name in wanted)
    columns = ("step", "samples", "lr", "loss", "grad_norm", "val_dice", "val_iou")
    curves = [[[row.get(c) for c in columns] for row in read_curves(run / "metrics.csv")] for run in (one, other)]
    assert curves[0] == curves[1]
