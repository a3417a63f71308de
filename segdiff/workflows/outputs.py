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

from segdiff.data import object_files, parquet, writers
from segdiff.data.annotations.geojson import packed
from segdiff.data.annotations.outlines import Outlines, trace
from segdiff.data.object_table import Columns, object_table, table_rows
from segdiff.errors import ConfigError
from segdiff.inference.objects import describe_objects
from segdiff.inference.prediction import Prediction

JUDGED = ("probability", "uncertainty", "confidence")  # columns of the table that are of the model


@dataclass(frozen=True)
class Result:
    """A prediction on its way into files. What several outputs need is computed once, what none needs never.

    Attributes:
        prediction: of one mask channel, or of mask and core.
        image: as it was read; None where there is none to draw on.
        mpp: micrometres per pixel, for measurements; None where unknown.
        picture: name of the image, for the table and for the ids of objects.
        apart: whether objects are told apart, so that the overlay draws each with an outline of its own.
    """

    prediction: Prediction
    image: NDArray[Any] | None = None
    mpp: float | None = None
    picture: str = ""
    apart: bool = False

    @cached_property
    def labels(self) -> NDArray[np.int32]:
        """The objects told apart, (H, W)."""
        return self.prediction.instances()

    @cached_property
    def outlines(self) -> list[Outlines]:
        """Of the objects."""
        return list(trace(self.labels))

    @cached_property
    def judged(self) -> Columns:
        """Number and area of each object, and what the model says of it (`JUDGED`; NaN where it says nothing)."""
        said = self.prediction
        confidence = said.confidence(self.labels)
        found = describe_objects(self.labels, said.probability, said.uncertainty, confidence)
        known = {name: np.array([getattr(one, name) for one in found], np.float64) for name in JUDGED}
        return {"id": np.array([one.label for one in found]), "area": np.array([one.area for one in found]), **known}

    @cached_property
    def columns(self) -> Columns:
        """The table of the objects, by columns."""
        more = {name: self.judged[name] for name in JUDGED}
        return object_table(self.labels, self.image, self.mpp, more, self.outlines)


@dataclass(frozen=True)
class Output:
    """One kind of file.

    Attributes:
        suffix: what follows the image's stem in the file's name.
        write: writes the file at a path, or at another one that it then returns.
        exists: whether a result has it: a single chain has no uncertainty.
        measures: whether it tells of single objects: it then holds micrometres, and confidence by the chains.
    """

    suffix: str
    write: Callable[[Path, Result], Path | None]
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
    labels = result.labels if result.apart else None
    writers.write_overlay(path, result.prediction.overlay(result.image, labels))


def _write_labels(path: Path, result: Result) -> None:
    object_files.write_labels(path, result.labels)


def _write_table(path: Path, result: Result) -> None:
    writers.write_csv(path, ("image", *result.columns), table_rows(result.columns, result.picture))


def _write_parquet(path: Path, result: Result) -> None:
    shapes = {label: polygons for batch in result.outlines for label, polygons in batch}
    rows = table_rows(result.columns, result.picture)
    with_outlines = ({**row, parquet.OUTLINE: parquet.well_known_binary(shapes[row["id"]])} for row in rows)
    parquet.write_parquet(path, result.columns, with_outlines)


def _write_outlines(path: Path, result: Result) -> Path:
    measured = object_files.measurements_of(result.judged, result.mpp)
    name = result.prediction.class_name
    return object_files.write_geojson(path, result.labels, measured, name, result.picture, result.outlines)


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
    "parquet": Output("objects.parquet", _write_parquet, measures=True),
}
OTHER_NAMES = {"table": "objects", "geojson": "outlines"}
DEFAULT_OUTPUTS = ("mask", "probability", "uncertainty", "overlay")
OBJECT_OUTPUTS = ("labels", "objects", "outlines")  # what is written of objects told apart, unless chosen
APART = (*OBJECT_OUTPUTS, "parquet")  # all that may be


def check_outputs(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of outputs in the order of `OUTPUTS`, each once; "table" and "geojson" are read, too.

    Raises:
        ConfigError: one that is not known or needs a package that is not installed, or none.
    """
    wanted = [OTHER_NAMES.get(name, name) for name in names]
    for name in wanted:
        if name not in OUTPUTS:
            close = difflib.get_close_matches(name, [*OUTPUTS, *OTHER_NAMES], n=1)
            hint = f"did you mean {close[0]}? There are" if close else "there are"
            raise ConfigError(f"no output {name!r}; {hint} {', '.join(OUTPUTS)}")
    if not wanted:
        raise ConfigError(f"no output is asked for; there are {', '.join(OUTPUTS)}")
    if "parquet" in wanted:
        parquet.check_parquet()
    return tuple(name for name in OUTPUTS if name in wanted)


def measures_objects(names: Sequence[str]) -> bool:
    """Whether any of these outputs tells of single objects."""
    return any(OUTPUTS[name].measures for name in names)


def tells_objects_apart(names: Sequence[str]) -> bool:
    """Whether any of these outputs needs the objects told apart."""
    return any(name in APART for name in names)


def output_paths(folder: str | Path, stem: str) -> dict[str, Path]:
    """All files that may be written for a stem, by the names of outputs: slide_mask.png, slide_probability.tif, ..."""
    return {name: Path(folder) / f"{stem}_{output.suffix}" for name, output in OUTPUTS.items()}


def possible_files(folder: str | Path, stem: str) -> list[Path]:
    """All paths at which an output of a stem may lie: `output_paths`, and the outlines packed."""
    paths = output_paths(folder, stem)
    return [*paths.values(), packed(paths["outlines"])]


def save_prediction(
    prediction: Prediction,
    folder: str | Path,
    stem: str,
    outputs: Sequence[str] = DEFAULT_OUTPUTS,
    *,
    image: NDArray[Any] | None = None,
    mpp: float | None = None,
    overwrite: bool = False,
    picture: str | None = None,
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
        picture: name of the image, as the table shows it; None: the stem.
    Returns:
        The files written, by the names of outputs.
    Raises:
        ConfigError: an output that is not known, or a file exists already and `overwrite` is not set.
        ShapeError: several mask channels, of which files hold one.
    """
    picture = stem if picture is None else picture
    return save_result(
        Result(prediction, image, mpp, picture, tells_objects_apart(outputs)), folder, stem, outputs, overwrite
    )


def save_result(
    result: Result, folder: str | Path, stem: str, outputs: Sequence[str] = DEFAULT_OUTPUTS, overwrite: bool = False
) -> dict[str, Path]:
    """Write a result as `save_prediction` does, whose arguments, return and errors it has."""
    result.prediction.single_mask()
    chosen = check_outputs(outputs)
    every = output_paths(folder, stem)
    paths = {name: every[name] for name in chosen if OUTPUTS[name].exists(result)}
    places = [*paths.values(), *(packed(path) for name, path in paths.items() if name == "outlines")]
    found = [path for path in places if path.exists()]
    if found and not overwrite:
        raise ConfigError(f"{found[0]} exists; choose another folder or overwrite")
    for name, path in paths.items():
        paths[name] = OUTPUTS[name].write(path, result) or path
    return paths
