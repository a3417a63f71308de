"""What a model says about one image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data import writers
from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError, ShapeError
from segdiff.inference.overlay import draw_overlay


@dataclass(frozen=True, eq=False)
class Prediction:
    """Probability, uncertainty and mask of one image, on its own grid.

    Attributes:
        probability: float32 (H, W), in [0, 1]: the mean over chains, at the model's temperature; (M, H, W) for a model
            of M > 1 mask channels.
        uncertainty: float32 of the same shape, in [0, 0.5]: the standard deviation over chains; None where
            there is a single chain.
        threshold: of the mask.
        sampling: how the chains were run.
        seed: of the noise.
        model: identity of the model, "name@hash".
        chains: float32 (K, H, W) or (K, M, H, W), clamped to [0, 1]; None unless asked for.
        raw_probability: `probability` before the temperature, which acts on nothing else; None unless asked for.
    """

    probability: NDArray[np.float32]
    uncertainty: NDArray[np.float32] | None
    threshold: float
    sampling: Sampling
    seed: int
    model: str
    chains: NDArray[np.float32] | None = None
    raw_probability: NDArray[np.float32] | None = None

    @property
    def mask(self) -> NDArray[np.bool_]:
        """probability > threshold: a tie is background. bool, the shape of `probability`."""
        return self.probability > self.threshold

    def instances(self) -> NDArray[np.int32]:
        """The mask's connected parts (corners connect), numbered from 1: int32 (H, W), 0 is background."""
        from skimage.measure import label

        return label(self._single_mask(), connectivity=2).astype(np.int32)

    def overlay(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """uint8 (H, W, 3): the image, as it was read, with the mask's outline: `inference.overlay`."""
        return draw_overlay(image, self._single_mask())

    def save(
        self, folder: str | Path, stem: str, image: NDArray[Any] | None = None, overwrite: bool = False
    ) -> dict[str, Path]:
        """Write mask, probability, uncertainty (if there is one) and, given the image, the overlay.

        Args:
            folder: made if it is not there.
            stem: names begin with it, see `output_paths`.
            image: as it was read, for the overlay.
            overwrite: replace files that are there; an uncertainty of an earlier run is then removed even
                where this prediction has none, so that what lies together belongs together.
        Returns:
            The files written: "mask", "probability", and "uncertainty", "overlay" where there are.
        Raises:
            ConfigError: a file is there already and `overwrite` is not set.
        """
        mask = self._single_mask()
        paths = output_paths(folder, stem)
        there = [str(path) for path in paths.values() if path.exists()]
        if there and not overwrite:
            raise ConfigError(f"{there[0]} exists; choose another folder or overwrite")
        writers.write_mask(paths["mask"], mask)
        writers.write_float_tiff(paths["probability"], self.probability)
        if self.uncertainty is not None:
            writers.write_float_tiff(paths["uncertainty"], self.uncertainty)
        else:
            paths.pop("uncertainty").unlink(missing_ok=True)
        if image is not None:
            writers.write_overlay(paths["overlay"], self.overlay(image))
        else:
            paths.pop("overlay").unlink(missing_ok=True)
        return paths

    def _single_mask(self) -> NDArray[np.bool_]:
        if self.probability.ndim != 2:
            raise ShapeError(
                f"this model has {self.probability.shape[0]} mask channels; take .mask and choose one: "
                "pictures, instances and files are of a single one"
            )
        return self.mask


def output_paths(folder: str | Path, stem: str) -> dict[str, Path]:
    """The files that `Prediction.save` may write for a stem: slide_mask.png, slide_probability.tif, ..."""
    names = {"mask": "png", "probability": "tif", "uncertainty": "tif", "overlay": "png"}
    return {name: Path(folder) / f"{stem}_{name}.{suffix}" for name, suffix in names.items()}
