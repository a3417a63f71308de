"""Image files in, masks beside a record out."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from segdiff.data.images import list_images, read_image
from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError, SegdiffError, UserError
from segdiff.inference.ensemble import Ensemble
from segdiff.inference.prediction import OBJECTS, output_paths
from segdiff.inference.predictor import Predictor
from segdiff.inference.run import BatchSize
from segdiff.workflows.parts import Part
from segdiff.workflows.record import PredictionRecord, describe, resumable

RECORD = "prediction{}.json"  # for the whole and for a part
MOST_KEPT = 16 * 4096**2  # numbers: of larger pictures single chains are not kept, which are 4 bytes each
TOO_LARGE = "it is too large to keep its chains in memory: its objects have no confidence"
# Called with (images done, images in all, name of the current one); a part of an image counts as a fraction.
Progress = Callable[[float, int, str], None]


def plan_outputs(
    images: Sequence[Path],
    folder: Path,
    overwrite: bool,
    inputs: Sequence[Path] | None = None,
    begun: Collection[str] = (),
) -> None:
    """Refuse, before any work, what would lose a file.

    Args:
        images: those to predict.
        inputs: all that must stay, of other parts and of an earlier call too; None: the images.
        begun: paths of images whose outputs may be replaced all the same: a run that was cut began them.
    Raises:
        ConfigError: two inputs would be written to the same files; an output would replace an input, which
            not even `overwrite` allows; or an output is there and `overwrite` is not set.
    """
    kept = images if inputs is None else inputs
    _refuse_same_names(kept)
    inputs_there = {image.resolve() for image in kept}
    for image in images:
        for path in output_paths(folder, image.stem).values():
            if path.resolve() in inputs_there:
                raise ConfigError(f"{path} is an input: choose another output folder, inputs are not replaced")
            if path.exists() and not (overwrite or str(image) in begun):
                raise ConfigError(f"{path} exists: choose another output folder, --resume or --overwrite")


def _refuse_same_names(images: Sequence[Path]) -> None:
    stems: dict[str, Path] = {}
    for image in images:
        # Upper and lower case are one name on the file systems of macOS and Windows.
        other = stems.setdefault(image.stem.casefold(), image)
        if other is not image:
            raise ConfigError(f"{other} and {image} would be written to the same files: predict them apart")


def predict_files(
    predictor: Predictor,
    images: Sequence[str | Path],
    output_dir: str | Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    part: Part | None = None,
    seed: int = 0,
    sampling: Sampling | None = None,
    threshold: float | None = None,
    temperature: float | None = None,
    batch_size: BatchSize = "auto",
    mpp: float | None = None,
    scale: float | None = None,
    diameter: float | None = None,
    instances: bool = False,
    command: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Predict files, folders of images and patterns; an image that fails does not stop the others.

    Args:
        images: what `segdiff.data.images.list_images` takes.
        output_dir: made if it is not there. Each image gives <stem>_mask.png, <stem>_probability.tif,
            <stem>_uncertainty.tif (only where there are several chains) and <stem>_overlay.png; beside them
            lies prediction.json, written anew after each image (after some, where they are thousands).
        overwrite: replace outputs that are there; inputs are never replaced.
        resume: go on with a run of the same settings in this folder: images that its record says are done, and
            whose files are there, are left as they are.
        part: predict a share of the images only; its record is prediction_2of4.json, say.
        seed: as `Predictor.predict`, like the next five.
        sampling: None: the model's own.
        threshold: None: the model's own.
        temperature: likewise.
        batch_size: "auto" or a number.
        mpp: micrometres per pixel of the images.
        scale: instead of mpp.
        diameter: instead of both: of a typical object of the images, in pixels.
        instances: also tell objects apart: <stem>_labels.tif, <stem>_objects.csv, <stem>_outlines.geojson.
        command: for the record.
        progress: told how far it is.
    Returns:
        The content of prediction.json. Each of its "images" has "image" and "status"; one that is "done" also
        "outputs" (names of files in the folder), "shape", "seconds" and "remarks" (what makes it unlike the pictures
        that the model was trained on); one that "failed" has an "error".
    Raises:
        MissingError: no such image. ConfigError: as `plan_outputs`, or settings that cannot be.
    """
    part = part or Part()
    found, folder = list_images(images), Path(output_dir)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file: choose another output folder")
    inputs, found = found, part.of(found)  # all parts write into one folder
    # Without a use for the scale, micrometres are for the table of objects alone.
    length = mpp if instances else None
    if length is not None and (predictor.known_mpp is None or scale is not None or diameter is not None):
        mpp = None
    predictor.scale_factor(mpp, scale, diameter)  # contradictions are found before any work
    predictor.check(sampling)
    settings = {
        **describe(predictor, sampling, threshold, seed, temperature),
        "mpp": mpp,
        "scale": scale,
        "diameter": diameter,
        "instances": instances,
        "objects_mpp": length,
        "command": list(command) if command is not None else None,
    }
    path = folder / RECORD.format(part.suffix)
    kinds = tuple(OBJECTS) if instances else ()
    done, begun = resumable(folder, path, settings, found, kinds) if resume else ({}, set())
    plan_outputs([image for image in found if str(image) not in done], folder, overwrite, inputs, begun)
    record = PredictionRecord(path, settings, found, done)

    def predict_one(index: int, image: Path) -> dict[str, Any]:
        began = time.perf_counter()
        array = read_image(image)
        keeps = instances and array.shape[0] * array.shape[1] * _layers(predictor, sampling) <= MOST_KEPT
        prediction = predictor.predict(
            array,
            seed=seed,
            sampling=sampling,
            threshold=threshold,
            temperature=temperature,
            batch_size=batch_size,
            mpp=mpp,
            scale=scale,
            diameter=diameter,
            keep_chains=keeps,
            progress=lambda done, total: report(index + done / total, image),
        )
        replace = overwrite or str(image) in begun
        found = prediction.save(folder, image.stem, array, overwrite=replace, instances=instances, mpp=length)
        return {
            "shape": list(array.shape),
            "seconds": round(time.perf_counter() - began, 3),
            "remarks": [*prediction.remarks, *([] if keeps or not instances else [TOO_LARGE])],
            "outputs": {kind: path.name for kind, path in found.items()},
        }

    def report(done: float, image: Path) -> None:
        if progress is not None:
            progress(done, len(found), image.name)

    try:
        for index, image in enumerate(found):
            if str(image) in done:
                continue
            report(index, image)
            try:
                facts = predict_one(index, image)
            except (SegdiffError, OSError, MemoryError) as error:
                record.update(index, "failed", error=_one_line(error))
            else:
                record.update(index, "done", **facts)
            report(index + 1, image)
    finally:
        record.write()
    return record.content


def _layers(predictor: Predictor, sampling: Sampling | None) -> int:
    """Maps of a picture's size that are kept with its chains: of each member, chain and mask channel."""
    if isinstance(predictor, Ensemble):
        return sum(_layers(member, sampling) for member in predictor.members)
    return (sampling or predictor.sampling).chains * predictor.segmenter.mask_channels


def failures(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The images of a record that failed."""
    return [image for image in record["images"] if image["status"] == "failed"]


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or "no message"
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"
