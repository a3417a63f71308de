"""Other runtimes give the same masks, and say what they cannot."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fakes import TINY_FAST, TINY_MODEL

from segdiff.artifacts.exports import save_onnx
from segdiff.artifacts.folder import Artifact, load_artifact, save_artifact
from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ArtifactError, ConfigError, MissingError
from segdiff.models.build import build_segmenter
from segdiff.models.normalisation import Normalisation
from segdiff.workflows.load import load_predictor

pytestmark = pytest.mark.usefixtures("one_thread")
INFERENCE = {"window": 48, "overlap": 0.25, "weights": "gaussian", "threshold": 0.5, "grid": None}
FEW = {"schedule": "cosine", "prediction": "logits", "condition": "log_snr", "self_conditioning": 0.5}
KINDS = {
    "fast": (TINY_FAST, FEW),
    "fast_direct": ({**TINY_FAST, "kind": "fast_direct"}, {}),
    "segdiff": (TINY_MODEL, {"prediction": "x_0"}),
}


def saved(kind, folder, seed=0):
    model, diffusion = KINDS[kind]
    torch.manual_seed(seed)
    segmenter = build_segmenter(model, diffusion)
    for parameter in segmenter.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    sampling = Sampling("ddim", steps=2, chains=3, clip=True)
    return save_artifact(Artifact(segmenter, model, diffusion, Normalisation(), sampling, INFERENCE), folder / kind)


# In a process of its own: with ONNX Runtime and OpenVINO loaded, later trainings of PyTorch in this one ended badly.
COMPARE = """
import json, sys
import numpy as np
from fakes import picture
from segdiff.workflows.load import load_predictor

folder, found = sys.argv[1], {}
for size in ((50, 70), (90, 33)):  # another size is another batch, too
    wanted = load_predictor(folder, "cpu", "float32", "torch").predict(picture(*size)).probability
    found[f"{size}"] = float(wanted.std())
    for runtime in ("auto", "onnx", "openvino"):
        predictor = load_predictor(folder, "cpu", "float32", runtime)
        got = predictor.predict(picture(*size)).probability
        found[f"{size} {runtime} is {predictor.runtime}"] = float(np.abs(got - wanted).max())
print(json.dumps(found))
"""


@pytest.mark.parametrize("kind", KINDS)
def test_runtimes_agree(kind, tmp_path):
    for package in ("onnx", "onnxruntime", "openvino"):
        if importlib.util.find_spec(package) is None:
            pytest.importorskip(package)
    folder = saved(kind, tmp_path)
    save_onnx(load_artifact(folder))
    command = [sys.executable, "-c", COMPARE, str(folder)]
    paths = {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **paths})
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    spreads = [value for name, value in found.items() if " is " not in name]
    differences = [value for name, value in found.items() if " is " in name]
    assert min(spreads) > 1e-3 and len(differences) == 6 and max(differences) < 1e-4, found
    assert any(name.endswith("auto is onnx") for name in found)


def test_what_cannot_be_is_told(tmp_path):
    folder = saved("fast", tmp_path)
    with pytest.raises(MissingError, match=r"segdiff export --model .*fast --format onnx makes it"):
        load_predictor(folder, runtime="onnx")
    save_onnx(load_artifact(folder))
    with pytest.raises(ConfigError, match="float32"):
        load_predictor(folder, precision="bf16", runtime="onnx")
    with pytest.raises(ConfigError, match="runs on the CPU"):
        load_predictor(folder, device="cuda", runtime="onnx")
    with pytest.raises(ConfigError, match="runtime=tvm is not known"):
        load_predictor(folder, runtime="tvm")
    (folder / "onnx" / "model.txt").write_text("other@123")
    with pytest.raises(ArtifactError, match="of another model"):
        load_predictor(folder, runtime="onnx")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    for other in ("thesis.txt", "yolo.onnx"):
        (tmp_path / "mine" / "thesis.txt").rename(tmp_path / "mine" / other)
        with pytest.raises(ArtifactError, match="other things"):
            save_onnx(load_artifact(folder), tmp_path / "mine")
        (tmp_path / "mine" / other).rename(tmp_path / "mine" / "thesis.txt")


def test_a_model_that_is_saved_again_loses_its_exports(tmp_path):
    pytest.importorskip("onnx")
    folder = saved("fast_direct", tmp_path)
    save_onnx(load_artifact(folder))
    assert (folder / "onnx" / "network.onnx").is_file()
    saved("fast_direct", tmp_path)  # as it was
    assert (folder / "onnx" / "network.onnx").is_file()
    saved("fast_direct", tmp_path, seed=1)
    assert not (folder / "onnx").exists()
