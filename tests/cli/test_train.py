"""`segdiff train` as it is typed: one training, sweeps, mistakes. The data are made, the network is tiny."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from made import discs
from small_runs import TINY

from segdiff.cli.main import main

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def train(pictures, tmp_path, monkeypatch, capsys):
    """Run `segdiff train` in an empty folder; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*overrides, root=pictures):
        code = main(["train", *TINY, *([] if root is None else [f"dataset.root={root}"]), *overrides])
        return code, *capsys.readouterr()

    return call


def table(sweep):
    return list(csv.DictReader((sweep / "results.csv").read_text().splitlines()))


def only_folder(path):
    (folder,) = path.iterdir()
    return folder


def test_one_training_leaves_a_run_folder_with_its_result(train):
    code, out, _ = train("run.name=mine", "seed=3")
    result = json.loads(Path("runs/mine/result.json").read_text())
    assert code == 0 and result["status"] == "finished" and 0 <= result["dice"] <= 1
    assert "model: runs/mine/model" in out and Path("runs/mine/model/model.safetensors").is_file()


def test_a_sweep_ends_in_a_table_and_a_failed_run_does_not_lose_the_others(train):
    code, out, err = train("-m", "seed=1,2", "optimizer.lr=1e-3,-1")
    assert code == 3
    sweep = only_folder(Path("multirun"))
    rows = {row["run"]: row for row in table(sweep)}
    assert len(rows) == 4 and all("seed=" in name and "optimizer.lr=" in name for name in rows)
    failed = [row for row in rows.values() if row["status"] == "failed"]
    assert len(failed) == 2 and all("optimizer.lr=-1" in row["error"] and not row["dice"] for row in failed)
    finished = {name: row for name, row in rows.items() if row["status"] == "finished"}
    for name, row in finished.items():
        assert (sweep / name / "model" / "model.safetensors").is_file()
        assert float(row["dice"]) == json.loads((sweep / name / "result.json").read_text())["dice"]
    assert out.count("finished") == 2 and "results.csv" in out and err.count("optimizer.lr=-1: it must") == 2
    # The same command again, in another order: what is finished is not touched, the rest is tried again.
    before = {path: path.stat().st_mtime_ns for name in finished for path in (sweep / name).rglob("*")}
    code, out, err = train("-m", "optimizer.lr=1e-3,-1", "seed=1,2")
    assert code == 3 and out.count("finished before") == 2 and "going on with" in out
    assert err.count("optimizer.lr=-1: it must") == 2
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert only_folder(Path("multirun")) == sweep


def test_a_sweep_goes_on_with_runs_that_were_cut(train):
    assert train("-m", "seed=1,2", "trainer.max_minutes=0")[0] == 0
    sweep = only_folder(Path("multirun"))
    assert [row["status"] for row in table(sweep)] == ["cut", "cut"]
    code, out, _ = train("-m", "seed=1,2", f"hydra.sweep.dir={sweep}", "trainer.max_minutes=null")
    assert code == 0 and out.count("at step 1") == 2
    assert [row["status"] for row in table(sweep)] == ["finished", "finished"]


def test_all_failed_is_a_mistake(train):
    assert train("-m", "seed=-1,-2")[0] == 2


def test_long_overrides_get_a_short_folder(train):
    code, *_ = train("-m", "seed=1", f"+tracking.wandb.project={'x' * 200}", "optimizer.lr=-1")
    assert code == 2 and len(only_folder(Path("multirun")).name) <= 120
    assert all(len(path.name) <= 120 for path in only_folder(Path("multirun")).iterdir())


def launched(pictures, folder, *overrides):
    """Rows of the table of a sweep that was begun as a user does, in a process of its own; some of its runs fail."""
    tool = Path(__file__).resolve().parents[2] / "tools" / "train.py"
    done = subprocess.run(
        [sys.executable, str(tool), "-m", *TINY, f"dataset.root={pictures}", *overrides],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 3, done.stderr[-3000:]
    return sorted(row["status"] for row in table(only_folder(folder / "multirun")))


def test_joblib_runs_a_sweep_side_by_side(pictures, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs hydra-joblib-launcher")
    options = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    rows = launched(pictures, tmp_path, "seed=1,2", "optimizer.lr=1e-3,-1", *options)
    assert rows == ["failed", "failed", "finished", "finished"]


def test_submitit_runs_a_sweep_in_processes_of_its_own(pictures, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs hydra-submitit-launcher")
    assert launched(pictures, tmp_path, "seed=1,-1", "hydra/launcher=submitit_local") == ["failed", "finished"]


def test_slurm_is_configured():
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs hydra-submitit-launcher")
    from hydra import compose, initialize_config_dir

    from segdiff.training.configs import conf_folder

    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        overrides = ["run.name=x", "dataset.root=x", "hydra/launcher=slurm", "hydra.launcher.partition=gpu"]
        launcher = compose("config", overrides, return_hydra_config=True).hydra.launcher
    assert launcher._target_.endswith(".SlurmLauncher") and launcher.partition == "gpu" and launcher.gpus_per_node == 1


@pytest.mark.skipif(shutil.which("srun") is not None, reason="there is a Slurm cluster here")
def test_a_launcher_that_is_not_at_home_is_one_line(train):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs hydra-submitit-launcher")
    code, _, err = train("-m", "seed=1,2", "hydra/launcher=slurm")
    assert code == 2 and err.strip().splitlines()[-1].startswith("segdiff train: error: the sweep was not finished: ")
    assert "srun" in err and "Traceback" not in err


def test_the_score_is_what_sweepers_maximise(pictures, tmp_path):
    """The function that Hydra calls returns the validation Dice; nan where the run failed."""
    from hydra import compose, initialize_config_dir
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from segdiff.cli.train import sweep_job
    from segdiff.training.configs import conf_folder

    def job(name, *overrides):
        overrides = [*TINY, f"dataset.root={pictures}", "run.name=x", f"hydra.sweep.dir={tmp_path}", *overrides]
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            whole = compose("config", overrides, return_hydra_config=True)
            OmegaConf.set_readonly(whole.hydra, False)
            whole.hydra.runtime.output_dir = str(tmp_path / name)
            HydraConfig.instance().set_config(whole)
            return sweep_job(compose("config", overrides))

    score = job("good")
    assert score == json.loads((tmp_path / "good" / "result.json").read_text())["dice"]
    assert np.isnan(job("bad", "optimizer.lr=-1"))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["modle=fast"], "modle is not known; known: model,"),
        (["model=segdif_tiny"], "model=segdif_tiny is not known; known: segdiff_tiny,"),
        (["trainer.max_stpes=3"], "trainer.max_stpes is not known; known: max_steps,"),
        (["-m", "seed=1,2", "trainer.max_stpes=3"], "trainer.max_stpes is not known; known: max_steps,"),
        (["trainr.max_steps=3"], "trainr is not known; known: trainer,"),
        (["trainer.validation.chain=3"], "trainer.validation.chain is not known; known: chains,"),
        (["tracking=[wandb,tensorbord]"], "tracking=tensorbord is not known; known: tensorboard,"),
        (["-m", "seed=1,2", "hydra/launcher=jobli"], "hydra/launcher=jobli is not known; known: "),
        (["-m", "seed=1,2", "trainer.max_steps=[1"], "trainer.max_steps=[1"),
        (["--seed", "3"], "--seed is no option here"),
        (["trainer.max_steps"], "missing EQUAL"),
        (["trainer.max_steps=-3"], "trainer.max_steps"),
        (["trainer.batch_size=0"], "trainer.batch_size"),
        (["augmentation.crop=18"], "augmentation.crop=18: this network takes multiples of 8: use 16 or 24"),
        (["resume=atuo"], "resume=atuo is not known; known: auto"),
        (["trainer.init_from=${nope}"], "nope"),
        (["sampling.chains=0"], "chains"),
        (["augmentation.crop=-16"], "augmentation.crop"),
        (["seed=many"], "seed=many"),
        (["device=cuda:99"], "device=cuda:99"),
        (["device=tpu"], "device=tpu"),
        (["trainer.init_from=nowhere"], "nowhere"),
        (["dataset=monuseg"], "MoNuSeg"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(train, overrides, said):
    code, _, err = train(*overrides)
    (line,) = err.strip().splitlines()
    assert code == 2 and line.startswith("segdiff train: error: ") and said in line
    assert "Traceback" not in err and not list(Path().iterdir())


def test_the_data_set_must_be_named(train):
    code, _, err = train(root=None)
    assert code == 2 and err.strip().endswith("dataset.root must be given, as in dataset.root=...")


def test_a_run_that_broke_before_its_first_checkpoint_does_not_keep_its_name(train):
    assert train("run.name=a", "optimizer.lr=1e30", "trainer.max_steps=9", "optimizer.warmup_steps=0")[0] == 1
    assert train("run.name=a")[0] == 0


def test_what_differs_from_the_run_of_that_name_is_told(train):
    assert train("run.name=a", "seed=3")[0] == 0
    code, _, err = train("run.name=a", "seed=4", "optimizer.lr=0.5", "resume=auto")
    assert code == 2 and "other settings (optimizer.lr=0.0015 there, 0.5 here, seed=3 there, 4 here)" in err
    code, out, _ = train("run.name=a", "seed=3", "resume=auto")
    assert code == 0 and "runs/a is finished, at step 2" in out


def test_the_tool_answers_a_mistake_in_a_line(tmp_path):
    tool = Path(__file__).resolve().parents[2] / "tools" / "train.py"
    done = subprocess.run(
        [sys.executable, str(tool), "modle=fast"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("segdiff train: error: modle is not known; known: model,")


def test_debug_shows_the_traceback(train, monkeypatch):
    monkeypatch.setenv("SEGDIFF_DEBUG", "1")
    with pytest.raises(ValueError, match="max_stpes"):
        train("trainer.max_stpes=3")


def test_a_sweep_over_what_is_usually_left_out_of_names(train, pictures, tmp_path_factory):
    other = discs(tmp_path_factory.mktemp("other"))
    code, out, _ = train("-m", f"dataset.root={pictures},{other}", "trainer.max_steps=1", root=None)
    rows = table(only_folder(Path("multirun")))
    assert code == 0 and len(rows) == 2 and "finished before" not in out
    assert all("/" not in row["run"] for row in rows)
    roots = {yaml.safe_load(path.read_text())["dataset"]["root"] for path in Path("multirun").glob("*/*/config.yaml")}
    assert roots == {str(pictures), str(other)}


def test_a_sweep_of_one_has_a_folder_too(train):
    assert train("-m", "seed=5", "trainer.max_steps=1")[0] == 0
    assert len(table(only_folder(Path("multirun")))) == 1
