"""Who predicts the images of a run: this process, one after the other, or workers elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from segdiff.inference.options import PredictOptions
from segdiff.inference.protocol import Predictor
from segdiff.workflows.file_options import PredictFilesOptions
from segdiff.workflows.jobs import Job
from segdiff.workflows.predict_one import attempt
from segdiff.workflows.record import describe


@dataclass(frozen=True)
class Task:
    """One image of a run: its place in the record, its files, and what it may be told."""

    index: int
    job: Job
    options: PredictFilesOptions


Report = Callable[[Task, float], None]  # told the fraction of an image that is done
Ended = tuple[Task, str, dict[str, Any]]  # "done" or "failed", and what the record says


class Engine(Protocol):
    """Predicts the images of a run; strips of slides are left for the run to remove, once its record has them."""

    def describe(self, options: PredictOptions, folder: Path, image: Path) -> dict[str, Any]:
        """What the record says of the model and the machine; ConfigError where folder or image are not seen."""

    def run(self, tasks: Sequence[Task], report: Report) -> Iterator[Ended]:
        """Predict images, and give each when it ended, in any order."""


class Here:
    """Predicts in this process, in order."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def describe(self, options: PredictOptions, folder: Path, image: Path) -> dict[str, Any]:
        """Return what the record says of the model and this machine."""
        return describe(self.predictor, options)

    def run(self, tasks: Sequence[Task], report: Report) -> Iterator[Ended]:
        """Predict images, and give each when it ended."""
        for task in tasks:
            report(task, 0)

            def share(done: float, task: Task = task) -> None:
                report(task, done)

            yield task, *attempt(self.predictor, task.job, task.options, share)
