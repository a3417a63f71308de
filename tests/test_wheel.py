"""The built wheel works on its own: installed elsewhere, run elsewhere."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import TINY_MODEL
from PIL import Image

from segdiff.artifacts.folder import Artifact, save_artifact
from segdiff.diffusion.sampling import Sampling
from segdiff.models.build import build_segmenter
from segdiff.models.normalisation import Normalisation

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that the wheel was installed to."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    # A copy is built: setuptools leaves a build folder in the tree that it builds from.
    source = folder / "source"
    source.mkdir()
    for name in ("segdiff", "conf", "pyproject.toml", "README.md", "LICENSE"):
        (source / name).symlink_to(ROOT / name)
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (wheel,) = folder.glob("segdiff-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "segdiff/py.typed" in names
    templates = (ROOT / "segdiff" / "workflows" / "report" / "templates").iterdir()
    assert {f"segdiff/workflows/report/templates/{path.name}" for path in templates} <= set(names)
    wanted = {f"segdiff/conf/{path.relative_to(ROOT / 'conf').as_posix()}" for path in (ROOT / "conf").rglob("*.yaml")}
    assert wanted <= set(names)
    assert {f"segdiff/weights/nuclei/{name}" for name in ("model.safetensors", "config.yaml", "README.md")} <= set(
        names
    )
    assert not [name for name in names if name.startswith(("tests", "tools", "examples", "models"))]
    target = folder / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True, timeout=300)
    return target


def run(installed, cwd, *command):
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )


def test_it_is_the_installed_package_that_runs(installed, tmp_path):
    out = run(installed, tmp_path, "-c", "import segdiff; print(segdiff.__file__)")
    assert Path(out.stdout.strip()).is_relative_to(installed), out.stderr


def test_it_predicts(installed, tmp_path):
    torch.manual_seed(0)
    artifact = Artifact(
        build_segmenter(TINY_MODEL, {}),
        TINY_MODEL,
        {},
        Normalisation(),
        Sampling("ddim", steps=2, chains=2),
        {"window": 32, "overlap": 0.25, "weights": "gaussian", "threshold": 0.5},
    )
    save_artifact(artifact, tmp_path / "model")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    out = run(installed, tmp_path, "-m", "segdiff.cli.main", "predict", "--image", "a.png", "--model", "model")
    assert out.returncode == 0, out.stderr
    shipped = ["--instances", "--output-dir", "shipped"]
    out_of_shipped = run(installed, tmp_path, "-m", "segdiff.cli.main", "predict", "--image", "a.png", *shipped)
    assert out_of_shipped.returncode == 0, out_of_shipped.stderr
    listed = run(installed, tmp_path, "-m", "segdiff.cli.main", "models").stdout
    assert "apache-2.0" in listed and "take models/monuseg from the source repository" in listed
    assert np.asarray(Image.open(tmp_path / "out" / "a_mask.png")).shape == (40, 50)


def test_its_configurations_compose(installed, tmp_path):
    command = ["train", "--cfg", "job", "model=segdiff_tiny", "dataset=folder", "dataset.root=x"]
    out = run(installed, tmp_path, "-m", "segdiff.cli.main", *command)
    assert out.returncode == 0, out.stderr
    assert "rrdb_growth: 4" in out.stdout
