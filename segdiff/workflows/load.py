"""From a model's name to a `Predictor`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from segdiff.artifacts.exports import find_onnx, has_onnx
from segdiff.artifacts.folder import Artifact
from segdiff.artifacts.hub import any_from_pretrained
from segdiff.artifacts.members import EnsembleArtifact
from segdiff.errors import ConfigError
from segdiff.inference.ensemble import Ensemble
from segdiff.inference.options import CLASS_NAME_BEFORE, ComputeOptions, ConformalSettings, InferenceSettings
from segdiff.inference.predictor import ModelInfo, ModelPredictor
from segdiff.inference.protocol import Predictor
from segdiff.models.device import pick_device, resolve_precision
from segdiff.models.export import FASTEST, check_runtime, is_installed, with_runtime
from segdiff.models.folding import fold_segmenter
from segdiff.models.segmenter import Segmenter
from segdiff.settings import read_settings


def load_predictor(
    name: str | Path | Sequence[str | Path],
    device: str = "auto",
    precision: str = "auto",
    runtime: str = "torch",
    compiled: bool = False,
) -> Predictor:
    """Load a trained model, ready to predict: `segdiff.load` is this.

    Args:
        name: the model's folder, or "owner/name" on the Hugging Face hub (`segdiff.artifacts.hub`); several make an
            ensemble (`segdiff.inference.ensemble`), and a folder may hold one (`segdiff.artifacts.members`), which
            then counts as one of the several.
        device: "auto" (cuda, mps, cpu) or a name.
        precision: "auto" (bf16 where the device computes in it), "bf16" or "float32".
        runtime: "torch", or "onnx" or "openvino", which run the files of `segdiff export` on the CPU; "auto" takes the
            fastest that is installed where there are such files, else torch.
        compiled: by torch.compile, at the first picture: for many pictures of one size, on GPUs above all.
    Raises:
        MissingError, ArtifactError: no such model, or one that is refused.
        ConfigError: a device or precision that this machine does not have.
    """
    names = [name] if isinstance(name, (str, Path)) else list(name)
    loaded = [any_from_pretrained(one) for one in names]

    def ready(artifact: Artifact) -> Predictor:
        return predictor_of(artifact, device, precision, runtime, compiled, fold=True)

    models: list[Predictor] = [
        _together(one, [ready(member) for member in one.members.values()])
        if isinstance(one, EnsembleArtifact)
        else ready(one)
        for one in loaded
    ]
    return models[0] if len(models) == 1 else Ensemble(models)


def _together(artifact: EnsembleArtifact, members: Sequence[Predictor]) -> Ensemble:
    settings = dict(artifact.inference)
    if "conformal" in settings:
        settings["conformal"] = read_settings(ConformalSettings, "inference.conformal", settings["conformal"])
    return Ensemble(members, artifact.identity, **settings)


def predictor_of(
    artifact: Artifact,
    device: str = "auto",
    precision: str = "auto",
    runtime: str = "torch",
    compiled: bool = False,
    fold: bool = False,
) -> ModelPredictor:
    """The predictor of an artifact that is in memory, saved or not.

    fold: predict by a copy of its network whose batch norms are folded (`segdiff.models.folding`).
    """
    segmenter = artifact.segmenter
    if check_runtime(runtime) == "auto":
        runtime = "torch" if compiled else _fastest(artifact, device, precision)
    if compiled and runtime != "torch":
        raise ConfigError(f"runtime={runtime} compiles by itself: compile is for runtime=torch")
    if runtime != "torch":
        segmenter, device, precision = _exported(artifact, device, precision, runtime)
    elif fold:
        segmenter = fold_segmenter(segmenter, resolve_precision(pick_device(device), precision))
    return ModelPredictor(
        segmenter,
        artifact.normalisation,
        artifact.sampling,
        read_settings(InferenceSettings, "inference", {"class_name": CLASS_NAME_BEFORE, **artifact.inference}),
        ModelInfo(artifact.identity, artifact.scale, artifact.looks),
        ComputeOptions(device, precision, runtime, compiled),
    )


def _fastest(artifact: Artifact, device: str, precision: str) -> str:
    """The runtime that "auto" stands for."""
    if pick_device(device).type != "cpu" or not has_onnx(artifact):
        return "torch"
    best = FASTEST[resolve_precision(torch.device("cpu"), precision)]
    return best if is_installed(best) else "torch"


def _exported(artifact: Artifact, device: str, precision: str, runtime: str) -> tuple[Segmenter, str, str]:
    """The segmenter on another runtime, with the device and precision that it runs in."""
    if device not in ("auto", "cpu"):
        raise ConfigError(f"runtime={runtime} runs on the CPU, not on device={device}")
    if runtime == "onnx" and precision in ("bf16", "bfloat16"):
        raise ConfigError("runtime=onnx computes in float32: precision=bf16 needs runtime=torch or openvino")
    precision = "float32" if runtime == "onnx" else resolve_precision(torch.device("cpu"), precision)
    threads = torch.get_num_threads()
    return with_runtime(artifact.segmenter, find_onnx(artifact), runtime, precision, threads), "cpu", precision
