"""Image files in, masks beside a record out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from segdiff.data.regions import region_content
from segdiff.errors import ConfigError
from segdiff.inference.protocol import Predictor
from segdiff.settings import changed, plain
from segdiff.workflows.alone import alone_in
from segdiff.workflows.file_options import PredictFilesOptions
from segdiff.workflows.jobs import Job, check_jobs, plan_jobs
from segdiff.workflows.predict_one import attempt
from segdiff.workflows.progress import Progress
from segdiff.workflows.record import PredictionRecord, describe, resumable

RECORD = "prediction{}.json"  # for the whole and for a part


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
            beside them lie prediction.json and summary.csv, a row an image (`segdiff.workflows.summary`), written anew
            after each image (after some, where they are thousands).
        options: what it may be told; None: nothing.
        command: for the record.
        progress: told how far it is.
        changes: fields of `PredictFilesOptions` and of its `prediction` by their names, in place of those of `options`.
    Returns:
        The content of prediction.json. Each of its "images" has "image" and "status"; one that is "done" also
        "outputs" (names of files in the folder), "shape", "seconds", "remarks" and "found" (as
        `segdiff.workflows.summary.found_in` gives it), and "numbers" where the model has
        intervals of area and count (`segdiff.workflows.numbers.intervals_of`); one that "failed" has an "error".
    Raises:
        MissingError: no such image. ConfigError: settings that cannot be, an output that is there or would replace an
            input, another run at work in the folder.
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
    settings["region_content"] = region_content(options.region)
    with alone_in(folder, shared=options.part.count > 1):
        return _predict_jobs(predictor, every, folder, options, settings, progress)


def _predict_jobs(
    predictor: Predictor,
    every: Sequence[Job],
    folder: Path,
    options: PredictFilesOptions,
    settings: dict[str, Any],
    progress: Progress | None,
) -> dict[str, Any]:
    """The same for jobs that are planned; `every`: those of all parts."""
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
            status, facts = attempt(predictor, job, own, partial(report, index, job.image))
            record.update(index, status, **facts)
            report(index, job.image, 1)
    finally:
        record.write()
    return record.content


def failures(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The images of a record that failed."""
    return [image for image in record["images"] if image["status"] == "failed"]
