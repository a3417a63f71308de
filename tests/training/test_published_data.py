"""The published experiments run end to end, on made-up files of the published layouts."""

import json

import pytest
import torch
import yaml
from made import make_cityscapes, make_vaihingen

from segdiff.cli.main import main
from segdiff.data.augment import build_augmentation
from segdiff.data.datasets import build_dataset
from segdiff.data.loader import TrainingSamples, batches
from segdiff.data.protocols import get_protocol
from segdiff.training.configs import compose

QUICK = [
    "model=segdiff_tiny",
    "diffusion=x_0",
    "sampling.chains=2",
    "sampling.steps=1",
    "trainer.max_steps=1",
    "trainer.batch_size=2",
    "trainer.validation.chains=1",
    "trainer.validation.steps=1",
    "trainer.final_evaluation=false",
    "trainer.panels=0",
]


@pytest.mark.parametrize(
    ("kind", "make", "options", "seen", "metrics"),
    [
        ("vaihingen", lambda root: make_vaihingen(root, 6, 1), [], None, 4),
        ("cityscapes", make_cityscapes, ["expansion=true", "class_name=train"], [128, 128], 2),
        ("cityscapes", lambda root: make_cityscapes(root, hdf5=True), ["fold=1"], [128, 128], 2),
    ],
    ids=["vaihingen", "cityscapes", "cityscapes in hdf5"],
)
def test_train_and_evaluate(kind, make, options, seen, metrics, tmp_path):
    root, run = tmp_path / "data", tmp_path / "run"
    make(root)
    experiment = [f"experiment=published_{kind}", f"dataset.root={root}", f"run.dir={run}", *QUICK]
    assert main(["train", *experiment, *(f"dataset.{option}" for option in options)]) == 0
    saved = yaml.safe_load((run / "model" / "config.yaml").read_text())
    assert saved["inference"]["grid"] == seen and saved["inference"]["weights"] == "constant"
    scores = tmp_path / "scores.json"
    command = ["evaluate", "--dataset", kind, "--root", str(root), "--split", "test", "--protocol", "paper"]
    command += [word for option in options for word in ("--option", option)]
    assert main([*command, "--model", str(run / "model"), "--chains", "1", "--json", str(scores)]) == 0
    told = json.loads(scores.read_text())
    assert told["protocol"] == "paper" and len(told["metrics"]) == metrics + 3 and told["n"] >= 1
    assert told["windows"]["overlap"] == 0.0


@pytest.mark.parametrize(
    ("kind", "make"),
    [("vaihingen", make_vaihingen), ("cityscapes", lambda root: make_cityscapes(root, hdf5=True))],
    ids=["vaihingen", "cityscapes"],
)
def test_worker_processes_read_the_files_alike(kind, make, tmp_path):
    make(tmp_path)
    dataset = build_dataset(kind, tmp_path, "train")
    dataset[0]  # read here before the workers begin: an open file would not survive that
    config = compose([f"augmentation=published_{kind}", "dataset.root=unused"])["augmentation"]
    prepare = get_protocol("paper", kind).as_seen
    alone, shared = (
        list(
            batches(
                TrainingSamples(dataset, lambda image: image, build_augmentation(config), 3, prepare), 2, 0, 4, workers
            )
        )
        for workers in (0, 2)
    )
    side = 128 if kind == "cityscapes" else 256
    for one, other in zip(alone, shared, strict=True):
        assert one["image"].shape == (2, 3, side, side) and set(one["mask"].unique().tolist()) <= {-1.0, 1.0}
        assert torch.equal(one["image"], other["image"]) and torch.equal(one["mask"], other["mask"])
