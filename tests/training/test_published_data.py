"""The published experiments run end to end, on made-up files of the published layouts."""

import json

import pytest
import yaml
from made import make_cityscapes, make_vaihingen

from segdiff.cli.main import main

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
    ("kind", "make", "seen", "metrics"),
    [
        ("vaihingen", lambda root: make_vaihingen(root, 6, 1), None, 4),
        ("cityscapes", make_cityscapes, [128, 128], 2),
        ("cityscapes", lambda root: make_cityscapes(root, hdf5=True), [128, 128], 2),
    ],
    ids=["vaihingen", "cityscapes", "cityscapes in hdf5"],
)
def test_train_and_evaluate(kind, make, seen, metrics, tmp_path, capsys):
    root, run = tmp_path / "data", tmp_path / "run"
    make(root)
    experiment = [f"experiment=published_{kind}", f"dataset.root={root}", f"run.dir={run}", *QUICK]
    options = ["dataset.expansion=true"] if kind == "cityscapes" else []
    assert main(["train", *experiment, *options]) == 0
    saved = yaml.safe_load((run / "model" / "config.yaml").read_text())
    assert saved["inference"]["grid"] == seen and saved["inference"]["weights"] == "constant"
    scores = tmp_path / "scores.json"
    command = ["evaluate", "--dataset", kind, "--root", str(root), "--split", "test", "--protocol", "paper"]
    assert main([*command, "--model", str(run / "model"), "--chains", "1", "--json", str(scores)]) == 0
    told = json.loads(scores.read_text())
    assert told["protocol"] == "paper" and len(told["metrics"]) == metrics and told["n"] >= 1
    assert told["windows"]["overlap"] == 0.0
