"""Image files in, masks beside a record out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from segdiff.data.images import list_images, read_image, subfolder_of
from segdiff.data.sources.array import ArraySource
from segdiff.data.sources.base import OneChannel
from segdiff.data.sources.open import open_slide
from segdiff.data.sources.pixel_size import PixelSize, read_pixel_size
from segdiff.data.stored import ReadOptions
from segdiff.errors import ConfigError, DataError, MissingError, SegdiffError, UserError
from segdiff.inference.options import PredictOptions, needs_chains
from segdiff.inference.protocol import Predictor
from segdiff.settings import changed, plain
from segdiff.workflows.numbers import intervals_of
from segdiff.workflows.outputs import (
    DEFAULT_OUTPUTS,
    Result,
    check_outputs,
    measures_objects,
    output_paths,
    possible_files,
    save_result,
    tells_objects_apart,
)
from segdiff.workflows.parts import Part
from segdiff.workflows.progress import Progress
from segdiff.workflows.record import PredictionRecord, describe, own_outputs, resumable, version_of
from segdiff.workflows.slides.outputs import possible_slide_files
from segdiff.workflows.slides.predict import SlideOptions, predict_slide, refuse_choices

RECORD = "prediction{}.json"  # for the whole and for a part
MOST_KEPT = 16 * 4096**2  # numbers: of larger pictures single chains are not kept, which are 4 bytes each
TOO_LARGE = "it is too large to keep its chains in memory: its objects have no confidence"
LEFT = "{} lies there too, and is not of this run"


@dataclass(frozen=True)
class Job:
    """An image, and where its results go.

    Attributes:
        image: its file.
        folder: of its results.
        inside: that folder below the one of the record: "." unless images of subfolders are taken.
    """

    image: Path
    folder: Path
    inside: Path = Path()

    @property
    def stem(self) -> str:
        """What the names of its files begin with, below the folder of the record."""
        return (self.inside / self.image.stem).as_posix()

    def possible_files(self) -> tuple[Path, ...]:
        """All files that it may give."""
        stem = self.image.stem
        return (*possible_files(self.folder, stem), *possible_slide_files(self.folder, stem))


def plan_jobs(paths: Sequence[str | Path], output_dir: Path, recursive: bool) -> list[Job]:
    """List the images that files, folders and patterns stand for, less what earlier runs wrote there themselves.

    Raises:
        MissingError: no such image, or none but earlier results.
    """
    named, written = {Path(path) for path in paths}, own_outputs(output_dir)
    images = list_images(paths, recursive)
    # What is named by itself is wanted, whatever it is.
    images = [image for image in images if image in named or Path(os.path.abspath(image)) not in written]  # noqa: PTH100
    if not images:
        raise MissingError(f"all images given are results of earlier runs in {output_dir}: give others")
    places = [subfolder_of(image, paths) if recursive else Path() for image in images]
    return [Job(image, output_dir / inside, inside) for image, inside in zip(images, places, strict=True)]


def check_jobs(
    jobs: Sequence[Job], overwrite: bool, inputs: Sequence[Job] | None = None, begun: Collection[str] = ()
) -> None:
    """Refuse, before any work, what would lose a file.

    Args:
        jobs: those to do.
        inputs: all whose images must stay, of other parts and of an earlier call too; None: the jobs.
        begun: paths of images whose outputs may be replaced all the same: a run that was cut began them.
    Raises:
        ConfigError: two inputs would be written to the same files; an output would replace an input, which
            not even `overwrite` allows; or an output is there and `overwrite` is not set.
    """
    kept = jobs if inputs is None else inputs
    _refuse_same_names(kept)
    inputs_there = {job.image.resolve() for job in kept}
    for job in jobs:
        for path in job.possible_files():
            if path.resolve() in inputs_there:
                raise ConfigError(f"{path} is an input: choose another output folder, inputs are not replaced")
            if path.exists() and not (overwrite or str(job.image) in begun):
                raise ConfigError(f"{path} exists: choose another output folder, --resume or --overwrite")


def _refuse_same_names(jobs: Sequence[Job]) -> None:
    stems: dict[str, Path] = {}
    for job in jobs:
        # Upper and lower case are one name on the file systems of macOS and Windows.
        other = stems.setdefault(job.stem.casefold(), job.image)
        if other is not job.image:
            raise ConfigError(f"{other} and {job.image} would be written to the same files: predict them apart")


@dataclass(frozen=True)
class PredictFilesOptions:
    """What a prediction of files may be told.

    Args:
        prediction: of each image. Its `keep_chains` is decided by the outputs.
        read: which picture and channel of a file are meant, and which values are black and white.
        outputs: which files each image gives, names of `segdiff.workflows.outputs.OUTPUTS`.
        objects_mpp: micrometres per pixel for measurements of objects; None: `prediction.mpp`, or what the image's file
            states.
        region: of each image, "x,y,w,h" in its pixels or the path of an annotation file; None: all of it.
        tissue: find the tissue of whole slides, and predict nothing else of them.
        recursive: of folders take the images in subfolders too; results lie in subfolders of the same names.
        overwrite: replace outputs that exist; inputs are never replaced.
        resume: go on with a run of the same settings in this folder: images that its record says are done, whose
            files exist, and that have not changed since, are left as they are.
        part: predict a share of the images only; its record is prediction_2of4.json, say.
    Raises:
        ConfigError: an output that is not known, or micrometres that cannot be.
    """

    prediction: PredictOptions = PredictOptions()
    read: ReadOptions = ReadOptions()
    outputs: tuple[str, ...] = DEFAULT_OUTPUTS
    objects_mpp: float | None = None
    region: str | None = None
    tissue: bool = True
    recursive: bool = False
    overwrite: bool = False
    resume: bool = False
    part: Part = Part()

    def __post_init__(self) -> None:
        object.__setattr__(self, "outputs", check_outputs(self.outputs))
        if self.objects_mpp is not None and not 0 < self.objects_mpp < float("inf"):
            raise ConfigError(f"objects_mpp={self.objects_mpp}: it must be a positive number")

    @property
    def measures(self) -> bool:
        """Whether single objects are told of."""
        return measures_objects(self.outputs)

    def for_model(self, predictor: Predictor) -> PredictFilesOptions:
        """Return these options with micrometres where they are of use: for the scale, for measurements, or both."""
        if not self.measures:
            return replace(self, objects_mpp=None)
        mpp, prediction = self.prediction.mpp, self.prediction
        if predictor.known_mpp is None:
            prediction = replace(prediction, mpp=None)
        return replace(self, prediction=prediction, objects_mpp=mpp if self.objects_mpp is None else self.objects_mpp)


def predict_files(
    predictor: Predictor,
    images: Sequence[str | Path],
    output_dir: str | Path,
    options: PredictFilesOptions | None = None,
    *,
    command: Sequence[str] | None = None,
    progress: Progress | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Predict files, folders of images and patterns; an image that fails does not stop the others.

    Args:
        images: what `segdiff.data.images.list_images` takes, slides among them.
        output_dir: made if it does not exist. Each image gives <stem>_mask.png and the other outputs that are chosen;
            beside them lies prediction.json, written anew after each image (after some, where they are thousands).
        options: what it may be told; None: nothing.
        command: for the record.
        progress: told how far it is.
        changes: fields of `PredictFilesOptions` and of its `prediction` by their names, in place of those of `options`.
    Returns:
        The content of prediction.json. Each of its "images" has "image" and "status"; one that is "done" also
        "outputs" (names of files in the folder), "shape", "seconds" and "remarks", and "numbers" where the model has
        intervals of area and count (`segdiff.workflows.numbers.intervals_of`); one that "failed" has an "error".
    Raises:
        MissingError: no such image. ConfigError: as `plan_outputs`, or settings that cannot be.
    """
    options = changed(options or PredictFilesOptions(), changes).for_model(predictor)
    folder = Path(output_dir)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file: choose another output folder")
    every = plan_jobs(images, folder, options.recursive)
    predictor.scale_factor(options.prediction)  # contradictions are found before any work
    predictor.check(options.prediction)
    settings = {**describe(predictor, options.prediction), "options": plain(options)}
    settings["command"] = list(command) if command is not None else None
    jobs = options.part.of(every)  # all parts write into one folder
    found = [job.image for job in jobs]
    path = folder / RECORD.format(options.part.suffix)
    done, begun = resumable(folder, path, settings, found) if options.resume else ({}, set())
    check_jobs([job for job in jobs if str(job.image) not in done], options.overwrite, every, begun)
    record = PredictionRecord(path, settings, found, [job.stem for job in jobs], done)

    def report(index: int, image: Path, share: float) -> None:
        if progress is not None:
            progress(index + share, len(found), image.name)

    try:
        for index, job in enumerate(jobs):
            if str(job.image) in done:
                continue
            report(index, job.image, 0)
            own = replace(options, overwrite=options.overwrite or str(job.image) in begun)
            try:
                facts = _predict_file(predictor, job, own, partial(report, index, job.image))
            except (SegdiffError, OSError, MemoryError) as error:
                record.update(index, "failed", error=_one_line(error))
            else:
                record.update(index, "done", **facts)
            report(index, job.image, 1)
    finally:
        record.write()
    return record.content


def _predict_file(
    predictor: Predictor, job: Job, options: PredictFilesOptions, report: Callable[[float], None]
) -> dict[str, Any]:
    """Predict one file and write its outputs; gives what the record says of it."""
    image = job.image
    if not _is_utf_8(image):
        raise DataError(f"{image.name} is not a name in UTF-8, which tables and outlines need: rename the file")
    version = version_of(image)
    facts = _predict(predictor, image, job.folder, options, report)
    outputs = {name: (job.inside / written).as_posix() for name, written in facts["outputs"].items()}
    return {**facts, "outputs": outputs, "file": version}


def _predict(
    predictor: Predictor,
    image: Path,
    folder: Path,
    options: PredictFilesOptions,
    report: Callable[[float], None],
) -> dict[str, Any]:
    """The same with the outputs as they are called in their own folder."""
    source = open_slide(image)
    if source is not None:
        read = options.read
        refuse_choices(source, page=read.page, z=read.z, range=read.value_range)
        source = source if read.channel is None else OneChannel(source, read.channel - 1)
    size = read_pixel_size(image) if source is None else source.mpp
    options, known = _scaled(options, predictor, size)
    if source is None and options.region is not None:
        source = ArraySource(read_image(image, options.read), size, str(image))
    if source is None:
        return _predict_picture(predictor, image, folder, options, report) | known
    told = SlideOptions(
        options.prediction, options.outputs, options.objects_mpp, options.region, options.tissue, options.resume
    )
    return predict_slide(predictor, source, image, folder, told, report) | known


def _scaled(
    options: PredictFilesOptions, predictor: Predictor, size: PixelSize
) -> tuple[PredictFilesOptions, dict[str, Any]]:
    """The options with micrometres as the file states them, where nothing else says the scale; and which, to record."""
    told = options.prediction
    if options.objects_mpp is not None or told.mpp is not None:
        return options, {"mpp": told.mpp or options.objects_mpp, "mpp_origin": "--mpp"}
    scales = predictor.takes_mpp and told.scale is None and told.diameter is None
    mpp = size.isotropic() if scales or options.measures else size.x
    if mpp is None:
        return options, {"mpp": None, "mpp_origin": size.origin}
    prediction = replace(told, mpp=mpp) if scales else told
    return replace(options, prediction=prediction, objects_mpp=mpp), {"mpp": mpp, "mpp_origin": size.origin}


def _predict_picture(
    predictor: Predictor,
    image: Path,
    folder: Path,
    options: PredictFilesOptions,
    report: Callable[[float], None],
) -> dict[str, Any]:
    """The same for one that is read as a whole."""
    began = time.perf_counter()
    notes: list[str] = []
    array = read_image(image, options.read, notes)
    kept = array.shape[0] * array.shape[1] * predictor.kept_maps(options.prediction)
    wanted = options.measures and needs_chains(predictor.inference, options.prediction)
    told = replace(options.prediction, keep_chains=wanted and kept <= MOST_KEPT)
    prediction = predictor.predict(array, told, progress=lambda done, total: report(done / total))
    result = Result(prediction, array, options.objects_mpp, image.name, tells_objects_apart(options.outputs))
    written = save_result(result, folder, image.stem, options.outputs, options.overwrite)
    numbers = intervals_of(prediction, result.labels if tells_objects_apart(options.outputs) else None)
    remarks = [*notes, *prediction.remarks]
    if wanted and not told.keep_chains:
        remarks.append(TOO_LARGE)
    left = [path.name for name, path in output_paths(folder, image.stem).items() if name not in written]
    remarks += [LEFT.format(name) for name in left if (folder / name).exists()]
    return {
        "shape": list(array.shape),
        "seconds": round(time.perf_counter() - began, 3),
        "remarks": remarks,
        **({"numbers": numbers} if numbers else {}),
        "outputs": {name: path.name for name, path in written.items()},
    }


def _is_utf_8(image: Path) -> bool:
    try:
        str(image).encode()
    except UnicodeEncodeError:
        return False
    return True


def failures(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The images of a record that failed."""
    return [image for image in record["images"] if image["status"] == "failed"]


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or "no message"
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"
