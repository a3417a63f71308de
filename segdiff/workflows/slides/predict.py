"""A slide in, its files out: in bounded memory, and gone on with where it was cut."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from segdiff.data.sources.base import ImageSource
from segdiff.data.versions import version_of
from segdiff.errors import ConfigError
from segdiff.inference.options import PredictOptions, needs_chains
from segdiff.inference.protocol import Predictor
from segdiff.settings import plain
from segdiff.workflows.outputs import measures_objects
from segdiff.workflows.slides.outputs import SlideFiles, slide_outputs, slide_paths, strips_folder
from segdiff.workflows.slides.part import SlidePart
from segdiff.workflows.slides.result import SlideResult
from segdiff.workflows.slides.store import StripStore, check_folder, open_folder

NO_CONFIDENCE = "of slides no chains are kept, and this model has no confidence without them: its objects have none"
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


class Block(NamedTuple):
    """Rows of windows of one of a slide's models, `last` included; None: to the end."""

    model: int
    first: int
    last: int | None

    def __str__(self) -> str:
        to = "the end" if self.last is None else str(self.last + 1)
        return f"rows of windows {self.first + 1} to {to} of model {self.model + 1}"


@dataclass(frozen=True, eq=False)
class SlideRun:
    """A slide on its way to its files. Its steps may be taken by several processes that share a disk.

    Strips of the result lie in <stem>_strips beside the files, and may be removed once what `finish` gives is in a
    record: a run that was cut, however it was, goes on from there with `go_on`, and repeats at most the row of windows
    that it was in and the one above it.

    Attributes:
        predictor: one model or several.
        source: the slide.
        path: of its file.
        folder: of the files.
        options: what it is told.
    """

    predictor: Predictor
    source: ImageSource
    path: Path
    folder: Path
    options: SlideOptions

    @cached_property
    def part(self) -> SlidePart:
        """Which part of the slide is predicted."""
        return SlidePart.of(self.source, self.options.region, self.options.tissue)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All that decides the strips."""
        return {
            "image": self._image(),
            "model": self.predictor.describe(self.options.prediction),
            "precision": self.predictor.machine()["precision"],
            "options": plain(self.options.prediction.deciding()),
            "part": self.part.described(),
        }

    @property
    def kept(self) -> Path:
        """Where the strips lie."""
        return strips_folder(self.folder, self.path.stem)

    def begin(self, most: int | None = None) -> list[Block]:
        """Make ready, or go on, and return what is to be predicted still.

        most: rows of windows of a block; None: as many as there are.
        Raises: ConfigError: it was begun with other settings. And as readers and writers.
        """
        open_folder(self.kept, self.settings, self.options.go_on)
        found = []
        for number, (model, told) in enumerate(self.predictor.models(self.options.prediction)):
            store = self._store(number)
            if store.missing is None:
                continue
            if most is None and store.missing == len(store):
                found.append(Block(number, store.missing, None))
                continue
            gaps = store.gaps(model.row_count(self.source, told), most)
            found += [Block(number, first, last) for first, last in gaps]
        return found

    def predict(self, block: Block, report: Callable[[float], None]) -> None:
        """Predict a block, and keep its strips; `report` is told the fraction that is done.

        Raises: ConfigError: the slide was begun with other settings than this process has. And as `Predictor.predict`.
        """
        check_folder(self.kept, self.settings)
        model, told = self.predictor.models(self.options.prediction)[block.model]
        choice = replace(self.part.choice, first=block.first, last=block.last)

        def progress(done: int, total: int) -> None:
            report(done / max(total, 1))

        store = self._store(block.model)
        for strip in model.strips(self.source, told, choice, progress=progress):
            store.write(strip)

    def finish(self, report: Callable[[float], None]) -> dict[str, Any]:
        """Write the files of what was predicted, and return what the record says of the slide.

        report: told the fraction of them that is written.
        Raises: ConfigError: the slide was replaced meanwhile, or as `predict`. And as writers.
        """
        began = time.perf_counter()
        check_folder(self.kept, {**self.settings, "image": self._image()})  # as it is now
        paths = {} if self.part.tissue is None else self.part.tissue.save(self.folder, self.path.stem)
        stores = [self._store(number) for number in range(len(self.predictor.models(self.options.prediction)))]
        result = SlideResult(self.predictor, self.options.prediction, stores, self.part.region)
        files = SlideFiles(result, self.source, self.options.mpp, self.path.name, self.kept)
        chosen = slide_outputs(self.options.outputs)
        for number, name in enumerate(chosen):
            paths[name] = files.write(name, slide_paths(self.folder, self.path.stem)[name])
            report((number + 1) / len(chosen))
        return {
            "shape": list(self.source.shape),
            "found": files.found(self.part.pixels),
            "seconds": round(time.perf_counter() - began, 3),
            "remarks": self._remarks(chosen),
            "outputs": {name: written.name for name, written in paths.items()},
            "tissue_mm2": self.part.area_mm2(self.options.mpp),
        }

    def whole(self, report: Callable[[float], None]) -> dict[str, Any]:
        """Take all steps, and return what the record says of the slide."""
        began = time.perf_counter()
        blocks = self.begin()
        for number, block in enumerate(blocks):

            def of_block(share: float, number: int = number) -> None:
                report(OF_STRIPS * (number + share) / len(blocks))

            self.predict(block, of_block)
        facts = self.finish(lambda share: report(OF_STRIPS + (1 - OF_STRIPS) * share))
        return {**facts, "seconds": round(time.perf_counter() - began, 3)}

    def _image(self) -> dict[str, Any]:
        return {"name": self.path.name, "version": version_of(self.path), "shape": self.source.shape}

    def _store(self, model: int) -> StripStore:
        return StripStore(self.kept / f"model_{model}", (self.source.height, self.source.width))

    def _remarks(self, chosen: tuple[str, ...]) -> list[str]:
        remarks = []
        if self.part.is_empty:
            return [NO_TISSUE]
        for model, _ in self.predictor.models(self.options.prediction):
            remarks += [one for one in model.remarks_on(self.source, self.part.choice) if one not in remarks]
        if left := [name for name in self.options.outputs if name not in {*chosen, "overlay"}]:
            remarks.append(LEFT_OUT.format(", ".join(left)))
        prediction = self.options.prediction
        if measures_objects(self.options.outputs) and needs_chains(self.predictor.inference, prediction):
            remarks.append(NO_CONFIDENCE)
        return remarks


def refuse_choices(source: ImageSource, **chosen: Any) -> None:
    """ConfigError where something is chosen that is not done of slides (`segdiff.data.stored.ReadOptions`)."""
    for name, value in chosen.items():
        if value is not None:
            raise ConfigError(f"--{name} does not apply to {source.name}, which is read tile by tile")
