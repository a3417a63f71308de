"""Image files in, masks beside a record out."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from segdiff.data.regions import region_content
from segdiff.errors import ConfigError
from segdiff.inference.protocol import Predictor
from segdiff.settings import changed, plain
from segdiff.workflows.alone import alone_in
from segdiff.workflows.engine import Engine, Here, Task
from segdiff.workflows.file_options import PredictFilesOptions
from segdiff.workflows.jobs import Job, check_jobs, plan_jobs
from segdiff.workflows.progress import Progress
from segdiff.workflows.record import PredictionRecord, resumable
from segdiff.workflows.sampled import SampleOutputs
from segdiff.workflows.slides.outputs import strips_folder

RECORD = "prediction{}.json"  # for the whole and for a part


def predict_files(
    predictor: Predictor,
    images: Sequence[str | Path],
    output_dir: str | Path,
    options: PredictFilesOptions | None = None,
    *,
    command: Sequence[str] | None = None,
    progress: Progress | None = None,
    engine: Engine | None = None,
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
        engine: predicts the images elsewhere (`segdiff.workflows.cluster`); None: `predictor` does, here.
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
    sampled = SampleOutputs(options.samples)
    every = [replace(job, samples=sampled) for job in plan_jobs(images, folder, options.recursive)]
    predictor.scale_factor(options.prediction)  # contradictions are found before any work
    predictor.check(options.prediction)
    told: dict[str, Any] = {"options": plain(options), "command": list(command) if command is not None else None}
    told["region_content"] = region_content(options.region)
    with alone_in(folder, shared=options.part.count > 1):
        engine = engine or Here(predictor)
        settings = {**engine.describe(options.prediction, folder, every[0].image), **told}
        return _predict_jobs(engine, every, folder, options, settings, progress)


def _predict_jobs(
    engine: Engine,
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
    tasks = []
    for index, job in enumerate(jobs):
        if str(job.image) in done:
            _remove_strips(job)
        else:
            overwrite = options.overwrite or str(job.image) in begun
            tasks.append(Task(index, job, replace(options, overwrite=overwrite)))
    tell = _Progress(len(found), len(found) - len(tasks), progress)
    try:
        for task, status, facts in engine.run(tasks, tell):
            record.update(task.index, status, **facts)
            if status == "done" and strips_of(task.job).exists():
                record.write()  # what is in no record must not lose its strips
                _remove_strips(task.job)
            tell.ended(task)
    finally:
        record.write()
    return record.content


def strips_of(job: Job) -> Path:
    """Where strips of a slide lie while it is predicted."""
    return strips_folder(job.folder, job.image.stem)


def _remove_strips(job: Job) -> None:
    shutil.rmtree(strips_of(job), ignore_errors=True)


class _Progress:
    """Adds up how far the images of a run are, in whichever order they end."""

    def __init__(self, total: int, before: int, progress: Progress | None) -> None:
        self.total, self.before, self.progress = total, before, progress
        self._shares: dict[int, float] = {}
        self._ended = 0

    def __call__(self, task: Task, share: float) -> None:
        self._shares[task.index] = share
        self._tell(task)

    def ended(self, task: Task) -> None:
        """An image is done, or failed."""
        self._shares.pop(task.index, None)
        self._ended += 1
        self._tell(task)

    def _tell(self, task: Task) -> None:
        if self.progress is not None:
            done = self.before + self._ended + sum(self._shares.values())
            self.progress(done, self.total, task.job.image.name)


def failures(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The images of a record that failed."""
    return [image for image in record["images"] if image["status"] == "failed"]
