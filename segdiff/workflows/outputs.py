"""What a prediction is written as: one table of outputs, each a suffix and a writer."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data import object_files, writers
from segdiff.errors import ConfigError
from segdiff.inference.objects import FoundObject, describe_objects
from segdiff.inference.prediction import Prediction

COLUMNS = ("id", "x", "y", "area", "probability", "uncertainty", "confidence")
MICROMETRES = ("x_um", "y_um", "area_um2")


@dataclass(frozen=True)
class Result:
    """A prediction on its way into files. What several outputs need is computed once, what none needs never.

    Attributes:
        prediction: of one mask channel, or of mask and core.
        image: as it was read; None where there is none to draw on.
        mpp: micrometres per pixel, for measurements; None where unknown.
    """

    prediction: Prediction
    image: NDArray[Any] | None = None
    mpp: float | None = None

    @cached_property
    def labels(self) -> NDArray[np.int32]:
        """The objects told apart, (H, W)."""
        return self.prediction.instances()

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """A row of the table for each object."""
        said = self.prediction
        confidence = said.confidence(self.labels)
        found = describe_objects(self.labels, said.probability, said.uncertainty, confidence)
        return [_row(one, self.mpp) for one in found]


@dataclass(frozen=True)
class Output:
    """One kind of file.

    Attributes:
        suffix: what follows the image's stem in the file's name.
        write: writes the file at a path.
        exists: whether a result has it: a single chain has no uncertainty.
        measures: whether it tells of single objects: it then holds micrometres, and confidence by the chains.
    """

    suffix: str
    write: Callable[[Path, Result], None]
    exists: Callable[[Result], bool] = lambda result: True
    measures: bool = False


def _write_mask(path: Path, result: Result) -> None:
    writers.write_mask(path, result.prediction.single_mask())


def _write_probability(path: Path, result: Result) -> None:
    writers.write_float_tiff(path, result.prediction.probability)


def _write_uncertainty(path: Path, result: Result) -> None:
    assert result.prediction.uncertainty is not None
    writers.write_float_tiff(path, result.prediction.uncertainty)


def _write_overlay(path: Path, result: Result) -> None:
    assert result.image is not None
    writers.write_overlay(path, result.prediction.overlay(result.image))


def _write_labels(path: Path, result: Result) -> None:
    object_files.write_labels(path, result.labels)


def _write_table(path: Path, result: Result) -> None:
    columns = COLUMNS if result.mpp is None else COLUMNS + MICROMETRES
    object_files.write_table(path, columns, result.rows)


def _write_outlines(path: Path, result: Result) -> None:
    measured = {row["id"]: {key: row[key] for key in row if key not in ("id", "x", "y")} for row in result.rows}
    object_files.write_geojson(path, result.labels, measured, result.prediction.class_name)


OUTPUTS = {
    "mask": Output("mask.png", _write_mask),
    "probability": Output("probability.tif", _write_probability),
    "uncertainty": Output(
        "uncertainty.tif", _write_uncertainty, lambda result: result.prediction.uncertainty is not None
    ),
    "overlay": Output("overlay.png", _write_overlay, lambda result: result.image is not None),
    "labels": Output("labels.tif", _write_labels),
    "objects": Output("objects.csv", _write_table, measures=True),
    "outlines": Output("outlines.geojson", _write_outlines, measures=True),
}
OTHER_NAMES = {"table": "objects", "geojson": "outlines"}
DEFAULT_OUTPUTS = ("mask", "probability", "uncertainty", "overlay")
OBJECT_OUTPUTS = ("labels", "objects", "outlines")  # of objects told apart


def check_outputs(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of outputs in the order of `OUTPUTS`, each once; "table" and "geojson" are read, too.

    Raises:
        ConfigError: one that is not known, or none.
    """
    wanted = [OTHER_NAMES.get(name, name) for name in names]
    for name in wanted:
        if name not in OUTPUTS:
            close = difflib.get_close_matches(name, [*OUTPUTS, *OTHER_NAMES], n=1)
            hint = f"did you mean {close[0]}? There are" if close else "there are"
            raise ConfigError(f"no output {name!r}; {hint} {', '.join(OUTPUTS)}")
    if not wanted:
        raise ConfigError(f"no output is asked for; there are {', '.join(OUTPUTS)}")
    return tuple(name for name in OUTPUTS if name in wanted)


def measures_objects(names: Sequence[str]) -> bool:
    """Whether any of these outputs tells of single objects."""
    return any(OUTPUTS[name].measures for name in names)


def tells_objects_apart(names: Sequence[str]) -> bool:
    """Whether any of these outputs needs the objects told apart."""
    return any(name in OBJECT_OUTPUTS for name in names)


def output_paths(folder: str | Path, stem: str) -> dict[str, Path]:
    """All files that may be written for a stem, by the names of outputs: slide_mask.png, slide_probability.tif, ..."""
    return {name: Path(folder) / f"{stem}_{output.suffix}" for name, output in OUTPUTS.items()}


def save_prediction(
    prediction: Prediction,
    folder: str | Path,
    stem: str,
    outputs: Sequence[str] = DEFAULT_OUTPUTS,
    *,
    image: NDArray[Any] | None = None,
    mpp: float | None = None,
    overwrite: bool = False,
) -> dict[str, Path]:
    """Write a prediction as files; nothing else in the folder is touched.

    Args:
        folder: made if it does not exist.
        stem: names begin with it, see `output_paths`.
        outputs: which files, keys of `OUTPUTS`. What the prediction does not have (the uncertainty of a single chain,
            an overlay without the image) is left out.
        image: as it was read, for the overlay.
        mpp: micrometres per pixel, for measurements of objects.
        overwrite: replace files of these outputs.
    Returns:
        The files written, by the names of outputs.
    Raises:
        ConfigError: an output that is not known, or a file exists already and `overwrite` is not set.
        ShapeError: several mask channels, of which files hold one.
    """
    return save_result(Result(prediction, image, mpp), folder, stem, outputs, overwrite)


def save_result(
    result: Result, folder: str | Path, stem: str, outputs: Sequence[str] = DEFAULT_OUTPUTS, overwrite: bool = False
) -> dict[str, Path]:
    """Write a result as `save_prediction` does, whose arguments, return and errors it has."""
    result.prediction.single_mask()
    every = output_paths(folder, stem)
    paths = {name: every[name] for name in check_outputs(outputs) if OUTPUTS[name].exists(result)}
    found = [path for path in paths.values() if path.exists()]
    if found and not overwrite:
        raise ConfigError(f"{found[0]} exists; choose another folder or overwrite")
    for name, path in paths.items():
        OUTPUTS[name].write(path, result)
    return paths


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
