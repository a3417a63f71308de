"""segdiff: image segmentation with diffusion models, after SegDiff (Amit et al. 2021, arXiv:2112.00390)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "load"]

if TYPE_CHECKING:
    from segdiff.inference.predictor import Predictor


def load(name: Any, device: str = "auto", precision: str = "auto") -> Predictor:
    """Load a trained model by its folder, or by its name on a hub; see `segdiff.workflows.load.load_predictor`."""
    from segdiff.workflows.load import load_predictor  # torch takes seconds to import: only when used

    return load_predictor(name, device=device, precision=precision)
