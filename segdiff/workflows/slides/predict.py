"""A slide in, its files out: in bounded memory, and gone on with where it was cut."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.regions import Region, parse_region
from segdiff.data.sources.base import ImageSource
from segdiff.data.tissue import Tissue, find_tissue
from segdiff.data.versions import version_of
from segdiff.data.windows import Window
from segdiff.errors import ConfigError
from segdiff.inference.options import PredictOptions
from segdiff.inference.protocol import Predictor
from segdiff.inference.strips import Choice
from segdiff.settings import plain
from segdiff.workflows.outputs import measures_objects
from segdiff.workflows.slides.outputs import SlideFiles, slide_outputs, slide_paths, strips_folder
from segdiff.workflows.slides.result import SlideResult
from segdiff.workflows.slides.store import StripStore, open_folder

NO_CONFIDENCE = "of slides no chains are kept: their objects have no confidence"
NO_TISSUE = "no tissue was found in it: nothing was predicted (--no-tissue looks everywhere)"
LEFT_OUT = "of slides these are not written: {}"
OF_STRIPS = 0.95  # of a slide's time, for the progress: the rest tells objects apart and writes


@dataclass(frozen=True)
class SlideOptions:
    """What a slide's prediction is told, beside what any image's is.

    Attributes:
        prediction: as of any image; the scale is decided.
        outputs: as they were chosen; those that a slide can have are written.
        mpp: micrometres per pixel for files and measurements; None where unknown.
        region: "x,y,w,h" or the path of an annotation file; None: the whole slide.
        tissue: look for tissue, and predict nothing else.
        go_on: keep what an earlier run with the same settings did.
    """

    prediction: PredictOptions
    outputs: tuple[str, ...]
    mpp: float | None = None
    region: str | None = None
    tissue: bool = True
    go_on: bool = False


def predict_slide(
    predictor: Predictor,
    source: ImageSource,
    path: Path,
    folder: Path,
    options: SlideOptions,
    report: Callable[[float], None],
) -> dict[str, Any]:
    """Predict a slide and write its files.

    Strips of the result lie in <stem>_strips beside them until all are written: a run that was cut, however it was,
    goes on from there with `go_on`, and repeats at most the row of windows that it was in and the one above it.

    Args:
        path: of the slide's file.
        folder: of the files.
        report: told the fraction that is done.
    Returns:
        What the record says of the slide.
    Raises:
        ConfigError: it was begun with other settings. And as `Predictor.predict`, and readers and writers.
    """
    began = time.perf_counter()
    kept = strips_folder(folder, path.stem)
    part = _Part.of(source, options)
    open_folder(kept, _settings(predictor, source, path, options, part), options.go_on)
    paths = {} if part.tissue is None else part.tissue.save(folder, path.stem)
    stores = _predict_strips(predictor, source, kept, options, part, report)
    result = SlideResult(predictor, options.prediction, stores, part.region)
    files = SlideFiles(result, source, options.mpp, path.name, kept)
    chosen = slide_outputs(options.outputs)
    for number, name in enumerate(chosen):
        paths[name] = files.write(name, slide_paths(folder, path.stem)[name])
        report(OF_STRIPS + (1 - OF_STRIPS) * (number + 1) / len(chosen))
    found = files.found()
    shutil.rmtree(kept)
    return {
        "shape": list(source.shape),
        "found": found,
        "seconds": round(time.perf_counter() - began, 3),
        "remarks": _remarks(predictor, source, options, part, chosen),
        "outputs": {name: written.name for name, written in paths.items()},
        "tissue_mm2": part.area_mm2(options.mpp),
    }


@dataclass(frozen=True, eq=False)
class _Part:
    """Which part of a slide is predicted.

    Attributes:
        source: the slide.
        region: that was asked for.
        tissue: that was found.
    """

    source: ImageSource
    region: Region | None
    tissue: Tissue | None

    @classmethod
    def of(cls, source: ImageSource, options: SlideOptions) -> _Part:
        region = None if options.region is None else parse_region(options.region, source.height, source.width)
        return cls(source, region, find_tissue(source) if options.tissue and source.is_slide else None)

    @property
    def is_empty(self) -> bool:
        """Whether tissue was looked for and none was found."""
        return self.tissue is not None and not self.tissue.mask.any()

    @property
    def choice(self) -> Choice:
        """For predictors."""
        aside = None if self.tissue is None or self.is_empty else ~self.tissue.mask
        return Choice(self._wanted, aside=aside)

    def _wanted(self, place: Window) -> bool:
        if self.region is not None and not self.region.touches(place):
            return False
        return self.tissue is None or self.tissue.touches(place)

    def area_mm2(self, mpp: float | None) -> float | None:
        """Of the tissue; None where it was not looked for or a pixel's size is not known."""
        if self.tissue is None or mpp is None:
            return None
        pixels = float(self.tissue.mask.sum()) * self.tissue.row_step * self.tissue.column_step
        return round(pixels * mpp**2 * 1e-6, 4)

    def described(self) -> dict[str, Any]:
        """As plain values that are the same for the same part."""
        shapes = [] if self.region is None else [ring for one in self.region.shapes for p in one.polygons for ring in p]
        bitmaps = [] if self.region is None else [one.bitmap.pixels for one in self.region.shapes if one.bitmap]
        return {
            "region": None if self.region is None else _hash(*shapes, *bitmaps),
            "tissue": None if self.tissue is None else _hash(self.tissue.mask),
        }


def _hash(*arrays: NDArray[Any]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _settings(
    predictor: Predictor, source: ImageSource, path: Path, options: SlideOptions, part: _Part
) -> Mapping[str, Any]:
    """All that decides the strips."""
    return {
        "image": {"name": path.name, "version": version_of(path), "shape": source.shape},
        "model": predictor.describe(options.prediction),
        "precision": predictor.machine()["precision"],
        "options": plain(options.prediction.deciding()),
        "part": part.described(),
    }


def _predict_strips(
    predictor: Predictor,
    source: ImageSource,
    kept: Path,
    options: SlideOptions,
    part: _Part,
    report: Callable[[float], None],
) -> list[StripStore]:
    """Run each model over what is missing of its strips."""
    models = predictor.models(options.prediction)
    stores = []
    for number, (model, told) in enumerate(models):

        def progress(done: int, total: int, number: int = number) -> None:
            report(OF_STRIPS * (number + done / max(total, 1)) / len(models))

        store = StripStore(kept / f"model_{number}", (source.height, source.width))
        if (row := store.missing) is not None:
            for strip in model.strips(source, told, replace(part.choice, first=row), progress=progress):
                store.write(strip)
        stores.append(store)
    return stores


def _remarks(
    predictor: Predictor, source: ImageSource, options: SlideOptions, part: _Part, chosen: Collection[str]
) -> list[str]:
    remarks = []
    if part.is_empty:
        return [NO_TISSUE]
    for model, _ in predictor.models(options.prediction):
        remarks += [one for one in model.remarks_on(source, part.choice) if one not in remarks]
    if left := [name for name in options.outputs if name not in {*chosen, "overlay"}]:
        remarks.append(LEFT_OUT.format(", ".join(left)))
    if measures_objects(options.outputs):
        remarks.append(NO_CONFIDENCE)
    return remarks


def refuse_choices(source: ImageSource, **chosen: Any) -> None:
    """ConfigError where something is chosen that is not done of slides (`segdiff.data.stored.ReadOptions`)."""
    for name, value in chosen.items():
        if value is not None:
            raise ConfigError(f"--{name} does not apply to {source.name}, which is read tile by tile")
