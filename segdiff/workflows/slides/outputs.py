"""Files of a slide's result, written piece by piece."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from segdiff.data.annotations.geojson import packed, write_features
from segdiff.data.annotations.outlines import trace
from segdiff.data.array_files import ArrayFolder
from segdiff.data.object_files import measurements_of, object_features
from segdiff.data.object_table import Columns, in_micrometres, measure_objects, table_rows
from segdiff.data.parquet import OUTLINE, well_known_binary, write_parquet
from segdiff.data.pyramids import Pyramid, mean, nearest, write_pyramid
from segdiff.data.sources.base import ImageSource
from segdiff.data.windows import Window, tiles
from segdiff.data.writers import write_csv, write_overlay
from segdiff.inference.confidence import object_confidence
from segdiff.inference.object_blocks import BlockObjects
from segdiff.inference.objects import describe_objects, means_and_areas, typical_area
from segdiff.workflows.outputs import APART, DEFAULT_OUTPUTS, JUDGED
from segdiff.workflows.slides.overview import draw_overview
from segdiff.workflows.slides.result import SlideResult
from segdiff.workflows.summary import found_in

T = TypeVar("T")
SIDE = 1024  # of the blocks in which objects are told apart; no result depends on it
SUFFIXES = {
    "mask": "mask.ome.tif",
    "probability": "probability.ome.tif",
    "uncertainty": "uncertainty.ome.tif",
    "overview": "overview.png",
    "labels": "labels.ome.tif",
    "objects": "objects.csv",
    "outlines": "outlines.geojson",
    "parquet": "objects.parquet",
}


@dataclass(frozen=True, eq=False)
class SlideFiles:
    """A slide's result on its way into files. Objects are told apart once, and only if a file needs them.

    Attributes:
        result: what was predicted.
        source: the slide, for colours of objects.
        mpp: micrometres per pixel, for files and measurements; None where unknown.
        picture: name of the slide's file.
        folder: for what is kept meanwhile.
        side: of the blocks.
    """

    result: SlideResult
    source: ImageSource
    mpp: float | None
    picture: str
    folder: Path
    side: int = SIDE

    @cached_property
    def objects(self) -> BlockObjects:
        """The objects of the mask."""
        return BlockObjects(self.result.mask, self.result.core, self.side, ArrayFolder(self.folder / "objects"))

    def found(self, of: float) -> dict[str, Any]:
        """Sum up what was found in so many pixels, as of any picture (`segdiff.workflows.summary`)."""
        apart = "objects" in vars(self)
        pixels = self.objects.components.area.sum() if apart else self._mask_pixels
        return found_in(pixels / max(of, 1), self.objects.areas if apart else None, self.mpp)

    @cached_property
    def _mask_pixels(self) -> int:
        windows = tiles(*self.result.shape, SIDE)
        return sum(int(np.count_nonzero(self.result.read_mask(window))) for window in windows)

    def write(self, name: str, path: Path) -> Path:
        """Write an output at a path, or at one beside it that is then returned."""
        if name == "objects":
            write_csv(path, ["image", *self._columns_without_objects], self._rows())
        elif name == "parquet":
            write_parquet(path, self._columns_without_objects, self._rows_with_outlines())
        elif name == "outlines":
            return write_features(path, self._features())
        elif name == "overview":
            write_overlay(path, draw_overview(self.source, self.result.read_mask))
        else:
            dtype, shrink, read = self._maps[name]
            height, width = self.result.shape
            pyramid = Pyramid(height, width, dtype, shrink, self.mpp)
            write_pyramid(path, pyramid, (read(window) for window in tiles(height, width, pyramid.tile)))
        return path

    @cached_property
    def _typical_area(self) -> float:
        """Of an object of the whole slide."""
        return typical_area(self.objects.areas)

    @property
    def _maps(self) -> dict[str, tuple[Any, Callable[..., Any], Callable[[Window], NDArray[Any]]]]:
        result = self.result
        return {
            "mask": (np.uint8, nearest, lambda window: result.read_mask(window).astype(np.uint8) * np.uint8(255)),
            "probability": (np.float32, mean, lambda window: result.read(window).probability),
            "uncertainty": (np.float32, mean, self._uncertainty),
            "labels": (np.uint32, nearest, lambda window: self.objects.read(window)),
        }

    def _uncertainty(self, window: Window) -> NDArray[np.float32]:
        said = self.result.read(window)
        return np.zeros_like(said.probability) if said.uncertainty is None else said.uncertainty

    @cached_property
    def _columns_without_objects(self) -> Columns:
        """The table's columns as they are of no object, for their names and types."""
        nothing = np.zeros((1, 1), np.int32)
        return self._columns(nothing, Window(0, 0, 1, 1), np.zeros(0, np.int64))

    def _rows(self) -> Iterator[dict[str, Any]]:
        """The rows of the table, by number."""

        def rows(labels: NDArray[np.int32], window: Window, numbers: NDArray[np.int64]) -> Iterator[dict[str, Any]]:
            return table_rows(self._columns(labels, window, numbers), self.picture)

        return self._by_number(rows)

    def _rows_with_outlines(self) -> Iterator[dict[str, Any]]:
        """The same, each with its outline."""

        def rows(labels: NDArray[np.int32], window: Window, numbers: NDArray[np.int64]) -> Iterator[dict[str, Any]]:
            outlines = (polygons for batch in trace(labels, window[:2]) for _, polygons in batch)
            told = table_rows(self._columns(labels, window, numbers), self.picture)
            for row, polygons in zip(told, outlines, strict=True):
                yield {**row, OUTLINE: well_known_binary(polygons)}

        return self._by_number(rows)

    def _features(self) -> Iterator[dict[str, Any]]:
        """The outlines, by number."""

        def features(labels: NDArray[np.int32], window: Window, numbers: NDArray[np.int64]) -> Iterator[dict[str, Any]]:
            measured = measurements_of(self._judged(labels, window, numbers), self.mpp)
            found = (
                (int(numbers[label - 1]), polygons) for batch in trace(labels, window[:2]) for label, polygons in batch
            )
            return object_features([found], measured, self.result.class_name, self.picture)

        return self._by_number(features)

    def _columns(self, labels: NDArray[np.int32], window: Window, numbers: NDArray[np.int64]) -> Columns:
        image = self.source.read(window)
        columns = measure_objects(labels, image, origin=window[:2], shape=self.result.shape)
        judged = self._judged(labels, window, numbers)
        columns |= {"id": numbers, **{name: judged[name] for name in JUDGED}}
        return columns if self.mpp is None else {**columns, **in_micrometres(columns, self.mpp)}

    def _judged(self, labels: NDArray[np.int32], window: Window, numbers: NDArray[np.int64]) -> Columns:
        """Number and area of each object, and what the model says of it; NaN for what it says nothing of."""
        said = self.result.read(window)
        confidence = None
        if self.result.confidence_coefficients is not None:
            means, areas = means_and_areas(labels, said.probability)
            confidence = object_confidence(self.result.confidence_coefficients, means, areas, self._typical_area)
        found = describe_objects(labels, said.probability, said.uncertainty, confidence)
        known = {name: np.array([getattr(one, name) for one in found], np.float64) for name in JUDGED}
        return {"id": numbers, "area": np.array([one.area for one in found], np.int64), **known}

    def _by_number(self, tell: Callable[[NDArray[np.int32], Window, NDArray[np.int64]], Iterator[T]]) -> Iterator[T]:
        """What is told of the objects of each unit, in the order of their numbers.

        An object waits until no unit that is still to come can hold one that begins before it.
        """
        waiting: list[tuple[int, T]] = []
        for labels, window, numbers, complete in self.objects.by_unit():
            for number, one in zip(numbers.tolist(), tell(labels, window, numbers), strict=True):
                heapq.heappush(waiting, (number, one))
            while waiting and waiting[0][0] <= complete:
                yield heapq.heappop(waiting)[1]


def slide_paths(folder: str | Path, stem: str) -> dict[str, Path]:
    """All files that may be written for a slide, by the names of outputs."""
    return {name: Path(folder) / f"{stem}_{suffix}" for name, suffix in SUFFIXES.items()}


def strips_folder(folder: str | Path, stem: str) -> Path:
    """Where the strips of a slide lie while it is predicted."""
    return Path(folder) / f"{stem}_strips"


def possible_slide_files(folder: str | Path, stem: str) -> list[Path]:
    """All paths at which something of a slide may lie, a run that was cut among it."""
    paths = slide_paths(folder, stem)
    tissue = [Path(folder) / f"{stem}_tissue.{suffix}" for suffix in ("png", "geojson")]
    return [*paths.values(), packed(paths["outlines"]), *tissue, strips_folder(folder, stem)]


def slide_outputs(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return which files a slide gives: those that are chosen and that it can have.

    By default it is the mask and the overview, which is a slide's overlay, and files of objects where they are asked
    for: maps of numbers take gigabytes.
    """
    if set(DEFAULT_OUTPUTS) <= set(names):
        names = ("mask", "overlay", *(name for name in names if name in APART))
    names = tuple("overview" if name == "overlay" else name for name in names)
    return tuple(name for name in SUFFIXES if name in names)
