"""One image file in, its results out: a picture as a whole, a slide strip by strip."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from segdiff.data.images import read_image
from segdiff.data.sources.array import ArraySource
from segdiff.data.sources.base import OneChannel
from segdiff.data.sources.open import open_slide
from segdiff.data.sources.pixel_size import PixelSize, read_pixel_size
from segdiff.data.versions import version_of
from segdiff.errors import DataError, SegdiffError, UserError
from segdiff.inference.options import needs_chains
from segdiff.inference.protocol import Predictor
from segdiff.workflows.file_options import PredictFilesOptions
from segdiff.workflows.jobs import Job
from segdiff.workflows.numbers import intervals_of
from segdiff.workflows.outputs import Result, output_paths, save_result, tells_objects_apart
from segdiff.workflows.sampled import SampleOutputs
from segdiff.workflows.slides.predict import SlideOptions, SlideRun, refuse_choices
from segdiff.workflows.summary import found_in

MOST_KEPT = 16 * 4096**2  # numbers: of larger pictures single chains are not kept, which are 4 bytes each
TOO_LARGE = "it is too large to keep its chains in memory: its objects have no confidence"
LEFT = "{} lies there too, and is not of this run"


@dataclass(frozen=True, eq=False)
class Planned:
    """An image that was looked at and not predicted yet.

    Attributes:
        job: its file, and where its results go.
        options: with micrometres as its file states them.
        slide: its run, where it is not read as a whole; else None.
        known: what its record says of it already.
    """

    job: Job
    options: PredictFilesOptions
    slide: SlideRun | None
    known: dict[str, Any]

    def told(self, facts: dict[str, Any]) -> dict[str, Any]:
        """All that the record says, by what predicting it gives."""
        outputs = {name: (self.job.inside / written).as_posix() for name, written in facts["outputs"].items()}
        return {**facts, **self.known, "outputs": outputs}


def predict_one(
    predictor: Predictor, job: Job, options: PredictFilesOptions, report: Callable[[float], None]
) -> dict[str, Any]:
    """Predict one file and write its outputs; gives what the record says of it."""
    return predict_planned(predictor, plan_one(predictor, job, options), report)


def predict_planned(predictor: Predictor, planned: Planned, report: Callable[[float], None]) -> dict[str, Any]:
    """The same of a file that was looked at."""
    if planned.slide is not None:
        return planned.told(planned.slide.whole(report))
    return planned.told(_predict_picture(predictor, planned, report))


def plan_one(predictor: Predictor, job: Job, options: PredictFilesOptions) -> Planned:
    """Look at a file: how it is read, and at what scale."""
    image = job.image
    if not _is_utf_8(image):
        raise DataError(f"{image.name} is not a name in UTF-8, which tables and outlines need: rename the file")
    version = version_of(image)
    source = open_slide(image)
    if source is not None:
        read = options.read
        refuse_choices(source, page=read.page, z=read.z, range=read.value_range)
        source = source if read.channel is None else OneChannel(source, read.channel - 1)
    size = read_pixel_size(image) if source is None else source.mpp
    options, known = _scaled(options, predictor, size)
    if source is None and options.region is not None:
        source = ArraySource(read_image(image, options.read), size, str(image))
    known |= {"file": version}
    if source is None:
        return Planned(job, options, None, known)
    if options.samples:
        raise DataError(f"{image} is read in parts, of which no whole mask is kept: leave out --samples")
    told = SlideOptions(
        options.prediction, options.outputs, known["mpp"], options.region, options.tissue, options.resume
    )
    return Planned(job, options, SlideRun(predictor, source, image, job.folder, told), known)


def _scaled(
    options: PredictFilesOptions, predictor: Predictor, size: PixelSize
) -> tuple[PredictFilesOptions, dict[str, Any]]:
    """The options with micrometres as the file states them, where nothing else says the scale; and which, to record."""
    told = options.prediction
    if options.objects_mpp is not None or told.mpp is not None:
        return options, {"mpp": told.mpp or options.objects_mpp, "mpp_origin": "--mpp"}
    scales = predictor.takes_mpp and told.scale is None and told.diameter is None
    try:
        mpp, origin = size.isotropic(), size.origin
    except DataError as error:
        if scales or options.measures:
            raise
        mpp, origin = None, str(error)
    if mpp is None:
        return options, {"mpp": None, "mpp_origin": origin}
    prediction = replace(told, mpp=mpp) if scales else told
    return replace(options, prediction=prediction, objects_mpp=mpp), {"mpp": mpp, "mpp_origin": origin}


def _predict_picture(predictor: Predictor, planned: Planned, report: Callable[[float], None]) -> dict[str, Any]:
    """Predict one that is read as a whole; the outputs as they are called in their own folder."""
    image, folder, options = planned.job.image, planned.job.folder, planned.options
    began = time.perf_counter()
    notes: list[str] = []
    array = read_image(image, options.read, notes)
    kept = array.shape[0] * array.shape[1] * predictor.kept_maps(options.prediction)
    wanted = options.measures and needs_chains(predictor.inference, options.prediction)
    if options.samples and kept > MOST_KEPT:
        raise DataError(f"{image} is too large to keep its chains in memory: leave out --samples")
    told = replace(options.prediction, keep_chains=bool(options.samples) or (wanted and kept <= MOST_KEPT))
    prediction = predictor.predict(array, told, progress=lambda done, total: report(done / total))
    result = Result(prediction, array, options.objects_mpp, image.name, tells_objects_apart(options.outputs))
    written = save_result(result, folder, image.stem, options.outputs, options.overwrite)
    sampled = SampleOutputs(options.samples)
    samples, drawn = sampled.save(prediction, folder, image.stem, options.overwrite)
    written |= samples
    labels = result.labels if result.apart else None
    numbers = intervals_of(prediction, labels)
    remarks = [*notes, *prediction.remarks]
    if wanted and not told.keep_chains:
        remarks.append(TOO_LARGE)
    left = [path.name for name, path in output_paths(folder, image.stem).items() if name not in written]
    left += sampled.further(folder, image.stem)
    remarks += [LEFT.format(name) for name in left if (folder / name).exists()]
    return {
        "shape": list(array.shape),
        "seconds": round(time.perf_counter() - began, 3),
        "remarks": remarks,
        "found": found_in(
            prediction.single_mask().mean(),
            None if labels is None else np.bincount(labels.ravel())[1:],
            planned.known["mpp"],
        ),
        **({"numbers": numbers} if numbers else {}),
        **({"samples": drawn} if drawn else {}),
        "outputs": {name: path.name for name, path in written.items()},
    }


def attempt(
    predictor: Predictor, job: Job, options: PredictFilesOptions, report: Callable[[float], None]
) -> tuple[str, dict[str, Any]]:
    """Return "done" and what `predict_one` gives, or "failed" and its "error" in one line."""
    try:
        return "done", predict_one(predictor, job, options, report)
    except (SegdiffError, OSError, MemoryError) as error:
        return "failed", {"error": one_line(error)}


def one_line(error: BaseException) -> str:
    """Say in one line what went wrong, with the kind of what is no mistake of the user."""
    text = " ".join(str(error).split()) or "no message"
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def _is_utf_8(image: Path) -> bool:
    try:
        str(image).encode()
    except UnicodeEncodeError:
        return False
    return True
