"""Trackers: what they are told, that they stay one run, and that nobody needs them."""

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from small_runs import config, quiet

from segdiff.errors import ConfigError
from segdiff.training.identity import run_identity
from segdiff.training.run import run_training
from segdiff.training.tracking import read_tracking


class FakeRun:
    def __init__(self, calls, options):
        self.calls, self.options = calls, options
        self.id, self.summary = options["id"], {}
        self.dir = str(Path(options["dir"]) / "wandb" / "run" / "files")

    def log(self, values, step):
        self.calls.append(("log", step, values))

    def log_artifact(self, artifact):
        self.calls.append(("artifact", artifact.files))

    def finish(self):
        self.calls.append(("finish", dict(self.summary)))


class FakeArtifact:
    def __init__(self, name, type):
        self.files = []

    def add_dir(self, folder):
        self.files = sorted(path.name for path in Path(folder).iterdir())


@pytest.fixture
def wandb(monkeypatch, tmp_path):
    """A stand-in that remembers; nobody is logged in."""
    calls = []

    def init(**options):
        calls.append(("init", options))
        return FakeRun(calls, options)

    module = types.SimpleNamespace(
        init=init,
        Settings=lambda **values: values,
        Image=lambda picture, masks=None, caption=None: {"picture": picture, "masks": masks, "caption": caption},
        Artifact=FakeArtifact,
        calls=calls,
    )
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return module


def of(calls, kind):
    return [call for call in calls if call[0] == kind]


def tracked(pictures, settings=None, **trainer):
    return {**config(pictures, log_every=1, **trainer), "tracking": {"wandb": settings or {}}, "run": {"name": "mine"}}


def test_wandb_gets_curves_pictures_config_and_scores(wandb, pictures, tmp_path):
    said = []
    result = run_training(tracked(pictures, {"project": "p", "tags": ["t"]}), tmp_path / "run", say=said.append)
    (_, options) = of(wandb.calls, "init")[0]
    assert options["project"] == "p" and options["name"] == "mine" and options["tags"] == ["t"]
    assert options["config"]["trainer"]["max_steps"] == 6
    assert options["mode"] == "offline" and any("wandb sync" in line and "no key" in line for line in said)
    logged = {}
    for _, step, values in of(wandb.calls, "log"):
        logged.setdefault(step, {}).update(values)
    assert sorted(logged) == [1, 2, 3, 4, 5, 6]
    assert all(np.isfinite(values["loss"]) and values["lr"] > 0 for values in logged.values())
    assert {"val_dice", "validation/masks", "validation/probability", "validation/panel"} <= logged[3].keys()
    (shown,) = logged[6]["validation/masks"]  # the final pictures
    assert shown["picture"].shape == (32, 40, 3) and shown["caption"] == "0"
    assert {name: mask["mask_data"].shape for name, mask in shown["masks"].items()} == {
        "prediction": (32, 40),
        "truth": (32, 40),
    }
    assert logged[6]["validation/uncertainty"][0]["picture"].shape == (32, 40)
    assert of(wandb.calls, "finish") == [("finish", {"dice": result["dice"], "iou": result["iou"]})]
    assert not of(wandb.calls, "artifact")


def test_a_resumed_run_is_one_run(wandb, pictures, tmp_path):
    run_training(tracked(pictures, max_minutes=0), tmp_path / "run", say=quiet)
    run_training({**tracked(pictures), "resume": "auto"}, tmp_path / "run", say=quiet)
    first, second = (options for _, options in of(wandb.calls, "init"))
    assert first["id"] == second["id"] and first["resume"] == second["resume"] == "allow"
    steps = [step for _, step, values in of(wandb.calls, "log") if "loss" in values]
    assert steps == [1, 2, 3, 4, 5, 6]
    assert len(of(wandb.calls, "finish")) == 2


def test_the_model_is_uploaded_on_request(wandb, pictures, tmp_path):
    run_training(tracked(pictures, {"log_model": True}), tmp_path / "run", say=quiet)
    assert of(wandb.calls, "artifact") == [("artifact", ["README.md", "config.yaml", "model.safetensors"])]


def test_runs_of_a_sweep_are_a_group(wandb, pictures, tmp_path):
    run_training({**tracked(pictures), "run": {"name": "a", "group": "sweep"}}, tmp_path / "run", say=quiet)
    assert of(wandb.calls, "init")[0][1]["group"] == "sweep"


@pytest.mark.parametrize(
    ("settings", "environment", "netrc", "mode"),
    [
        ({}, {}, "", "offline"),
        ({}, {"WANDB_API_KEY": "k" * 40}, "", "online"),
        ({}, {}, "machine api.wandb.ai login user password key\n", "online"),
        ({}, {"WANDB_BASE_URL": "https://own.example:8080"}, "machine own.example login user password k\n", "online"),
        ({}, {}, "machine other.example login user password key\n", "offline"),
        ({}, {"WANDB_API_KEY": "k" * 40, "WANDB_MODE": "offline"}, "", "offline"),
        ({"mode": "offline"}, {"WANDB_API_KEY": "k" * 40}, "", "offline"),
        ({"mode": "online"}, {}, "", "online"),
    ],
)
def test_without_a_key_wandb_is_offline(wandb, pictures, tmp_path, monkeypatch, settings, environment, netrc, mode):
    (tmp_path / "netrc").write_text(netrc)
    (tmp_path / "netrc").chmod(0o600)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    run_training(tracked(pictures, settings, max_steps=1), tmp_path / "run", say=quiet)
    assert of(wandb.calls, "init")[0][1]["mode"] == mode


def test_a_run_that_fails_is_closed(wandb, pictures, tmp_path):
    settings = tracked(pictures)
    settings["optimizer"] = {"lr": 1e30}
    with pytest.raises(Exception, match="the loss"):
        run_training(settings, tmp_path / "run", say=quiet)
    assert of(wandb.calls, "finish") == [("finish", {})]


REAL = """
import json, sys
from pathlib import Path
from segdiff.training.run import run_training
run_training(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
"""


def test_wandb_itself_writes_an_offline_run_without_a_key(pictures, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(tracked(pictures)))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    environment.update(NETRC=str(tmp_path / "none"), OMP_NUM_THREADS="1")
    done = subprocess.run(
        [sys.executable, "-c", REAL, str(tmp_path / "config.json"), str(tmp_path / "run")],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "wandb is offline (no key is set)" in done.stdout
    (offline,) = (tmp_path / "run" / "wandb").glob("offline-run-*")
    assert offline.name.endswith(json.loads((tmp_path / "run" / "wandb.json").read_text())["id"])
    assert list(offline.glob("*.wandb")) and list(offline.rglob("masks_*.mask.png"))


def test_tensorboard_gets_curves_and_pictures(pictures, tmp_path):
    pytest.importorskip("tensorboard", reason="needs tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = {**config(pictures, log_every=1), "tracking": {"local": {}, "tensorboard": {}}}
    run_training({**settings, "trainer": {**settings["trainer"], "max_minutes": 0}}, tmp_path / "run", say=quiet)
    run_training({**settings, "resume": "auto"}, tmp_path / "run", say=quiet)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in events.Scalars("val_dice")] == [3, 6]
    assert {"validation/0", "probability/0", "uncertainty/0"} <= set(events.Tags()["images"])


def test_trackers_are_imported_only_when_chosen():
    code = "import sys, segdiff.training.run; print([m for m in sys.modules if m in ('wandb', 'tensorboard')])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.parametrize(
    ("tracking", "said"),
    [
        ({"wanbd": {}}, "tracking=wanbd is not known; known: local, wandb, tensorboard"),
        ({"wandb": {"projct": "x"}}, "tracking.wandb.projct is not known"),
        ({"wandb": {"mode": "on"}}, "tracking.wandb.mode=on"),
        ({"tensorboard": {"dir": "x"}}, "tracking.tensorboard.dir is not known"),
    ],
)
def test_mistakes_are_told(tracking, said):
    with pytest.raises(ConfigError, match=said):
        read_tracking(tracking)


def test_tracking_is_no_part_of_what_a_run_is(pictures):
    plain = config(pictures)
    assert run_identity({**plain, "tracking": {"wandb": {}}}) == run_identity(plain)
