"""segdiff: image segmentation with diffusion models, after SegDiff (Amit et al. 2021, arXiv:2112.00390)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "load", "train"]

if TYPE_CHECKING:
    from segdiff.inference.protocol import Predictor

# torch takes seconds to import: each function imports what it needs when it is called.


def load(
    name: str | Path | Sequence[str | Path], device: str = "auto", precision: str = "auto", runtime: str = "auto"
) -> Predictor:
    """A trained model, ready to predict.

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
    from segdiff.training.configs import compose
    from segdiff.training.run import run_training

    return run_training(compose(overrides), Path(folder))
