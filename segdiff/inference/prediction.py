"""What a model says about one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data import object_files, writers
from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError, ShapeError
from segdiff.inference.objects import FoundObject, describe_objects, separate, shares_of_chains
from segdiff.inference.overlay import draw_overlay
from segdiff.inference.threads import in_threads

OBJECTS = {"labels": "tif", "objects": "csv", "outlines": "geojson"}  # files of objects told apart
COLUMNS = ("id", "x", "y", "area", "probability", "uncertainty", "confidence")
MICROMETRES = ("x_um", "y_um", "area_um2")


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
        core: float32 (H, W), in [0, 1]: of the middles of objects (`segdiff.data.targets`), from models that were
            trained to find them; None from others.
        core_chains: likewise of each chain, (K, H, W), with `chains`.
        chain_threshold: of a chain's own mask: the threshold before the temperature, which chains do not know.
        remarks: what makes this picture unlike those that the model was trained on, in words (`inference.looks`).
    """

    probability: NDArray[np.float32]
    uncertainty: NDArray[np.float32] | None
    threshold: float
    sampling: Sampling
    seed: int
    model: str
    chains: NDArray[np.float32] | None = None
    raw_probability: NDArray[np.float32] | None = None
    core: NDArray[np.float32] | None = None
    core_chains: NDArray[np.float32] | None = None
    chain_threshold: float = 0.5
    remarks: tuple[str, ...] = ()

    @property
    def mask(self) -> NDArray[np.bool_]:
        """probability > threshold: a tie is background. bool, the shape of `probability`."""
        return self.probability > self.threshold

    def instances(self) -> NDArray[np.int32]:
        """The objects of the mask, touching ones told apart: int32 (H, W), 0 is background (`inference.objects`)."""
        return separate(self._single_mask(), self.core)

    def confidence(self, instances: NDArray[np.int32]) -> NDArray[np.float64] | None:
        """For each of these objects the share of chains that have it, in order; None unless several chains
        were kept.

        A chain has an object if one that is told apart in its own mask (above `chain_threshold`) overlaps it with an
        IoU above 0.5.
        """
        if self.chains is None or len(self.chains) < 2:
            return None
        cores = self.core_chains if self.core_chains is not None else [None] * len(self.chains)
        masks = (chain > self.chain_threshold for chain in self.chains)
        return shares_of_chains(instances, in_threads(separate, masks, cores))

    def objects(self) -> tuple[NDArray[np.int32], list[FoundObject]]:
        """`instances`, and what there is to say of each."""
        labels = self.instances()
        return labels, describe_objects(labels, self.probability, self.uncertainty, self.confidence(labels))

    def overlay(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """uint8 (H, W, 3): the image, as it was read, with the mask's outline: `inference.overlay`."""
        return draw_overlay(image, self._single_mask())

    def save(
        self,
        folder: str | Path,
        stem: str,
        image: NDArray[Any] | None = None,
        overwrite: bool = False,
        instances: bool = False,
        mpp: float | None = None,
    ) -> dict[str, Path]:
        """Write mask, probability, uncertainty (if there is one), the overlay (given the image), objects (if wanted).

        Args:
            folder: made if it is not there.
            stem: names begin with it, see `output_paths`.
            image: as it was read, for the overlay.
            overwrite: replace files that are there; an uncertainty of an earlier run is then removed even
                where this prediction has none, so that what lies together belongs together.
            instances: also write the objects told apart: label map, table and outlines.
            mpp: micrometres per pixel, for the table.
        Returns:
            The files written: "mask", "probability", and "uncertainty", "overlay", "labels", "objects", "outlines"
                where
            there are.
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
        if instances:
            self._save_objects(paths, mpp)
        else:
            for name in OBJECTS:
                paths.pop(name).unlink(missing_ok=True)
        return paths

    def _save_objects(self, paths: Mapping[str, Path], mpp: float | None) -> None:
        labels, found = self.objects()
        rows = [_row(one, mpp) for one in found]
        object_files.write_labels(paths["labels"], labels)
        object_files.write_table(paths["objects"], COLUMNS if mpp is None else COLUMNS + MICROMETRES, rows)
        measured = {row["id"]: {key: row[key] for key in row if key not in ("id", "x", "y")} for row in rows}
        object_files.write_geojson(paths["outlines"], labels, measured, "Nucleus")

    def _single_mask(self) -> NDArray[np.bool_]:
        if self.probability.ndim != 2:
            raise ShapeError(
                f"this model has {self.probability.shape[0]} mask channels; take .mask and choose one: "
                "pictures, instances and files are of a single one"
            )
        return self.mask


def output_paths(folder: str | Path, stem: str) -> dict[str, Path]:
    """The files that `Prediction.save` may write for a stem: slide_mask.png, slide_probability.tif, ..."""
    names = {"mask": "png", "probability": "tif", "uncertainty": "tif", "overlay": "png"} | OBJECTS
    return {name: Path(folder) / f"{stem}_{name}.{suffix}" for name, suffix in names.items()}


def _row(one: FoundObject, mpp: float | None) -> dict[str, Any]:
    """An object in the table; lengths in pixels, and in micrometres where those of a pixel are known."""
    values: list[float | int | None] = [
        one.label,
        one.x,
        one.y,
        one.area,
        one.probability,
        one.uncertainty,
        one.confidence,
    ]
    row = dict(zip(COLUMNS, values, strict=True))
    if mpp is not None:
        row |= dict(zip(MICROMETRES, (one.x * mpp, one.y * mpp, one.area * mpp**2), strict=True))
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}
