"""Several processes train what one does."""

import json
import os
import subprocess
import sys

import pytest
import torch
import yaml
from safetensors.torch import load_file
from small_runs import config, quiet

from segdiff.errors import ConfigError
from segdiff.training.checkpoint import load_checkpoint
from segdiff.training.curves import read_curves
from segdiff.training.distributed import Processes
from segdiff.training.run import run_training

JOB = """
import sys, yaml
from pathlib import Path
from segdiff.training.run import run_training
run_training(yaml.safe_load(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
"""


def torchrun(count, settings, tmp_path, name):
    (tmp_path / "job.py").write_text(JOB)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(tmp_path / "job.py"), str(tmp_path / "config.yaml"), str(tmp_path / name)],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def test_rule_3_two_processes_equal_one(pictures, tmp_path):
    # In bf16 the two would differ by roundings that AdamW blows up to whole steps.
    settings = config(pictures, max_steps=4, validate_every=2, log_every=1, precision="float32")
    run_training(settings, tmp_path / "one", say=quiet)
    done = torchrun(2, settings, tmp_path, "two")
    assert done.stdout.count("validation with") == 1  # one of them speaks and writes
    one, two = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=0, atol=2e-5)
    curves = [read_curves(tmp_path / name / "metrics.csv") for name in ("one", "two")]
    assert [row["step"] for row in curves[0]] == [row["step"] for row in curves[1]]
    for ours, theirs in zip(*curves, strict=True):
        for key in ("loss", "grad_norm", "val_dice"):
            assert (key in ours) == (key in theirs) and theirs.get(key, 0) == pytest.approx(ours.get(key, 0), rel=1e-3)
    environment = json.loads((tmp_path / "two" / "environment.json").read_text())
    assert environment["processes"] == 2
    # Cut after one step and gone on with, still by two.
    torchrun(2, {**settings, "trainer": {**settings["trainer"], "max_minutes": 0}}, tmp_path, "cut")
    assert load_checkpoint(tmp_path / "cut" / "checkpoints" / "last.pt")["step"] == 1
    torchrun(2, {**settings, "resume": "auto"}, tmp_path, "cut")
    cut = load_file(tmp_path / "cut" / "model" / "model.safetensors")
    assert all(torch.equal(two[name], value) for name, value in cut.items())


def test_a_batch_must_divide(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(Processes, "from_environment", classmethod(lambda cls: cls(0, 3)))
    monkeypatch.setattr(Processes, "several", False)  # nobody to talk to
    with pytest.raises(ConfigError, match="multiple of 3 processes"):
        run_training(config(pictures), tmp_path / "run", say=quiet)


def test_what_torchrun_says_is_read():
    assert Processes.from_environment({}) == Processes()
    assert Processes.from_environment({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}) == Processes(5, 8, 1)
    for rank, world in (("8", "8"), ("a", "8")):
        with pytest.raises(ConfigError, match="torchrun"):
            Processes.from_environment({"RANK": rank, "WORLD_SIZE": world})


def test_each_process_takes_its_own_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    process = Processes(5, 8, 1)
    assert [process.device(name) for name in ("auto", "cuda", "cpu", "cuda:3")] == ["cuda:1", "cuda:1", "cpu", "cuda:3"]
    assert Processes().device("auto") == "auto"
