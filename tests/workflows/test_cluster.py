"""Workers of Dask: the files of one process, whatever happens to the workers."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
from fakes import FakeSegmenter, make_predictor, picture
from PIL import Image
from slide_files import write_aperio

from segdiff.cli.main import main
from segdiff.errors import ConfigError
from segdiff.inference.windows import window_starts
from segdiff.workflows.predict_files import failures, predict_files

pytest.importorskip("distributed", reason="needs segdiff[cluster]")
pytestmark = pytest.mark.filterwarnings("ignore")  # of ports and of workers that die

from segdiff.workflows.cluster import start, worker  # noqa: E402
from segdiff.workflows.cluster.engine import ClusterEngine  # noqa: E402

OUTPUTS = ("mask", "labels", "objects")
WINDOW = 64
GREY = 77


def slow(folder, image, noise, chain):
    """Red, after a while; where a file says so the worker dies at each window that is grey all over."""
    time.sleep(0.02)
    (folder / f"{os.getpid()}.pid").touch()
    if (folder / "poison").exists() and bool(((image * 255).round() == GREY).flatten(1).all(dim=1).any()):
        os.kill(os.getpid(), signal.SIGKILL)
    return image[:, :1]


def make(folder):
    return make_predictor(partial(slow, folder), window=WINDOW, overlap=0.25)


@pytest.fixture(scope="module")
def client():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with start.connected("local", 2) as found:
            yield found


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("in")
    for number in range(3):
        Image.fromarray(picture(70, 90, seed=number)).save(folder / f"{number}.png")
    write_aperio(folder / "a.svs", np.maximum(picture(700, 400, seed=5), 1), compression="zlib", mpp="0.5")
    (folder / "broken.png").write_bytes(b"none")
    return folder


def files(folder):
    kept = [path for path in folder.glob("*_*.*") if path.suffix != ".json"]
    return {path.name: path.read_bytes() for path in kept}


@pytest.fixture(scope="module")
def whole(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    predict_files(make_predictor(window=WINDOW), [images], folder, outputs=OUTPUTS, tissue=False)
    return files(folder)


def test_one_of_two_workers_is_killed_and_the_files_are_those_of_one_process(client, images, whole, tmp_path):
    notes, out = tmp_path / "notes", tmp_path / "out"
    notes.mkdir()
    killed, shares = [], []

    def kill():
        while not list((out / "a_strips" / "model_0").glob("*.zip")):
            time.sleep(0.01)
        killed.append(int(next(notes.glob("*.pid")).stem))
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    given = {"outputs": OUTPUTS, "tissue": False}
    engine = ClusterEngine(client, partial(make, notes), rows=2)

    def tell(done, total, name):
        shares.append((done, total))

    record = predict_files(make(notes), [images], out, engine=engine, progress=tell, **given)
    killer.join(10)
    workers = {int(path.stem) for path in notes.glob("*.pid")} - {os.getpid()}
    assert killed and len(workers) >= 2
    assert [Path(one["image"]).name for one in failures(record)] == ["broken.png"]
    assert files(out) == whole
    assert not (out / "a_strips").exists() and shares[-1] == (5, 5)
    assert all(a[0] <= b[0] + 1 for a, b in zip(shares, shares[1:], strict=False))
    rows = (out / "summary.csv").read_text().splitlines()
    assert len(rows) == 6
    again = predict_files(make(notes), [images], out, resume=True, **given)
    assert again["done_before"] == 4  # and by one process


def test_a_poison_block_is_named_and_the_rest_goes_on(client, images, whole, tmp_path, monkeypatch):
    notes, out, given = tmp_path / "notes", tmp_path / "out", {"outputs": OUTPUTS, "tissue": False}
    notes.mkdir()
    (tmp_path / "in").mkdir()
    for path in images.glob("*.png"):
        (tmp_path / "in" / path.name).write_bytes(path.read_bytes())
    slide = tifffile.imread(images / "a.svs")
    rows, across = (window_starts(n, WINDOW, 0.25) for n in slide.shape[:2])
    slide[rows[6] : rows[6] + WINDOW, across[2] : across[2] + WINDOW] = GREY  # no other window is grey all over
    write_aperio(tmp_path / "in" / "a.svs", slide, compression="zlib", mpp="0.5")
    (notes / "poison").touch()
    monkeypatch.setattr(client.cluster.scheduler, "allowed_failures", 0)  # each takes seconds
    engine = ClusterEngine(client, partial(make, notes), rows=2)
    record = predict_files(make(notes), [tmp_path / "in"], out, engine=engine, **given)
    errors = {Path(one["image"]).name: one["error"] for one in failures(record)}
    assert set(errors) == {"a.svs", "broken.png"}
    assert "rows of windows 7 to 8 of model 1: workers died at it" in errors["a.svs"]
    assert {name for name in files(out) if name[0] in "012"} == {name for name in whole if name[0] in "012"}
    strips = len(list((out / "a_strips" / "model_0").glob("*.zip")))
    assert strips == len(rows) - 2
    (notes / "poison").unlink()
    model = make(notes)
    record = predict_files(model, [tmp_path / "in"], out, resume=True, **given)
    assert [Path(one["image"]).name for one in failures(record)] == ["broken.png"]
    assert sum(windows for _, windows in model.segmenter.calls) == len(across) * 3  # two rows, and the one above
    predict_files(make_predictor(window=WINDOW), [tmp_path / "in" / "a.svs"], tmp_path / "one", **given)
    assert {name: content for name, content in files(out).items() if name[0] == "a"} == files(tmp_path / "one")


def test_workers_of_another_precision_are_refused(images, monkeypatch):
    monkeypatch.setattr(worker, "_use_own_processor", lambda: None)
    work = worker.Work("x", make_predictor, "bf16")
    with pytest.raises(ConfigError, match="computes in float32, others in bf16"):
        worker._predictor(work)


def test_workers_that_do_not_see_the_disk_are_named(tmp_path):
    work = worker.Work("y", make_predictor)
    with pytest.raises(ConfigError, match="does not see the images"):
        worker.describe_worker(work, None, tmp_path, tmp_path / "none.png")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cluster", "lokal"], "is one of local, slurm"),
        (["--cluster", "slurm"], "needs --workers N"),
        (["--workers", "2"], "--workers is of --cluster"),
        (["--cluster", "local", "--workers", "0"], "--workers"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(images, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.setattr("segdiff.cli.predict.predictor_from", lambda args: make_predictor())
    given = ["predict", "--image", str(images), "--output-dir", str(tmp_path / "out")]
    assert main([*given, *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said and len([line for line in said.splitlines() if "error" in line]) == 1
    assert not (tmp_path / "out").exists()


def test_without_the_package_the_remedy_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match="segdiff.cluster"), start.connected("local", 1):
        pass


@pytest.mark.parametrize(("queue", "sign"), [("slurm", "#SBATCH"), ("lsf", "#BSUB"), ("sge", "#$"), ("pbs", "#PBS")])
def test_queues_are_handed_a_worker_of_one_thread(queue, sign):
    pytest.importorskip("dask_jobqueue", reason="needs segdiff[cluster]")
    script = start.job_script(queue)
    assert sign in script and "--nthreads 1" in script and "distributed.cli.dask_worker" in script


def test_the_formula_is_the_one_of_one_process():
    assert isinstance(make(Path()).segmenter, FakeSegmenter)
