"""segdiff: image segmentation with diffusion models, after SegDiff (Amit et al. 2021, arXiv:2112.00390).

import segdiff

predictor = segdiff.load("nuclei")
prediction = predictor.predict(segdiff.read_image("slide.png"))
prediction.mask, prediction.probability, prediction.uncertainty
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from segdiff.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from segdiff.artifacts.folder import Artifact
    from segdiff.artifacts.hub import from_pretrained, push_to_hub, save_pretrained
    from segdiff.data.datasets import build_dataset
    from segdiff.data.images import read_image
    from segdiff.data.protocols import get_protocol
    from segdiff.diffusion.sampling import Sampling
    from segdiff.errors import SegdiffError, UserError
    from segdiff.inference.ensemble import Ensemble
    from segdiff.inference.options import PredictOptions
    from segdiff.inference.prediction import Prediction
    from segdiff.inference.protocol import Predictor
    from segdiff.workflows.compare import compare, read_scores
    from segdiff.workflows.evaluate import EvaluateOptions, evaluate
    from segdiff.workflows.file_options import PredictFilesOptions
    from segdiff.workflows.outputs import save_prediction
    from segdiff.workflows.predict_files import predict_files as predict
    from segdiff.workflows.score import score_files as score

__all__ = [
    "Artifact",
    "Ensemble",
    "EvaluateOptions",
    "PredictFilesOptions",
    "PredictOptions",
    "Prediction",
    "Predictor",
    "Sampling",
    "SegdiffError",
    "UserError",
    "__version__",
    "build_dataset",
    "compare",
    "evaluate",
    "from_pretrained",
    "get_protocol",
    "load",
    "predict",
    "push_to_hub",
    "read_image",
    "read_scores",
    "save_prediction",
    "save_pretrained",
    "score",
    "train",
]

# Where each name lies, as module or module:name. torch takes seconds to import: a name is loaded when it is first used.
_HOMES = {
    "Artifact": "segdiff.artifacts.folder",
    "Ensemble": "segdiff.inference.ensemble",
    "EvaluateOptions": "segdiff.workflows.evaluate",
    "PredictFilesOptions": "segdiff.workflows.file_options",
    "PredictOptions": "segdiff.inference.options",
    "Prediction": "segdiff.inference.prediction",
    "Predictor": "segdiff.inference.protocol",
    "Sampling": "segdiff.diffusion.sampling",
    "SegdiffError": "segdiff.errors",
    "UserError": "segdiff.errors",
    "build_dataset": "segdiff.data.datasets",
    "compare": "segdiff.workflows.compare",
    "evaluate": "segdiff.workflows.evaluate",
    "from_pretrained": "segdiff.artifacts.hub",
    "get_protocol": "segdiff.data.protocols",
    "predict": "segdiff.workflows.predict_files:predict_files",
    "push_to_hub": "segdiff.artifacts.hub",
    "read_image": "segdiff.data.images",
    "read_scores": "segdiff.workflows.compare",
    "save_prediction": "segdiff.workflows.outputs",
    "save_pretrained": "segdiff.artifacts.hub",
    "score": "segdiff.workflows.score:score_files",
}


def load(
    name: str | Path | Sequence[str | Path], device: str = "auto", precision: str = "auto", runtime: str = "auto"
) -> Predictor:
    """Load a trained model, ready to predict.

    Args:
        name: a model folder, such as `runs/mine/model`, or "owner/name" on the Hugging Face hub; several are averaged.
        device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1" or "mps".
        precision: "auto" (bf16 where the device computes in it), "bf16" or "float32".
        runtime: "torch", or "onnx" or "openvino" for a model that `segdiff export` was run on; "auto": the fastest.
    Returns:
        A predictor; `predictor.predict(image)` gives a `Prediction`.
    Raises:
        segdiff.errors.MissingError: no such model.
        segdiff.errors.ArtifactError: a model that is refused.
        segdiff.errors.ConfigError: a device or precision that this machine does not have.
    """
    from segdiff.workflows.load import load_predictor

    return load_predictor(name, device, precision, runtime)


def train(*overrides: str, folder: str | Path) -> dict[str, Any]:
    """Train a model; the same as `segdiff train OVERRIDES... run.dir=FOLDER`, without Hydra's command line.

    Args:
        overrides: as on the command line: `"dataset=folder", "dataset.root=my_data", "trainer.max_minutes=10"`.
        folder: of the run; one that holds this run already is only gone on with where "resume=auto" is given.
    Returns:
        dice and iou (of the last validation; nan where there are no validation images), finished (False where
        `trainer.max_minutes` ended the call), folder, model (the trained model's folder, for `load`).
    Raises:
        segdiff.errors.UserError: settings or data that cannot be, before any training.
        segdiff.errors.TrainingError: a loss that is not finite.
    """
    from pathlib import Path

    from segdiff.training.configs import compose
    from segdiff.training.run import run_training

    return run_training(compose(overrides), Path(folder))


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    value = getattr(importlib.import_module(module), attribute or name)
    globals()[name] = value  # the next time it is found without this function
    return value


def __dir__() -> list[str]:
    """List the public interface: `segdiff.<TAB>` shows it, not what happens to be imported."""
    return sorted(__all__)
