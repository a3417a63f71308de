"""What workers do: a picture, or a block of a slide, and a receipt of it.

Results go to the disk that workers share; a receipt is a few plain values. The model is loaded once in each worker. A
user's mistake, or a file that cannot be read, is told in the receipt; another error is the task's own.
"""

from __future__ import annotations

import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segdiff.errors import ConfigError, SegdiffError
from segdiff.inference.options import PredictOptions
from segdiff.inference.protocol import Predictor
from segdiff.workflows.engine import Task
from segdiff.workflows.predict_one import Planned, one_line, plan_one, predict_planned
from segdiff.workflows.record import describe
from segdiff.workflows.slides.predict import Block

_SLIDES = 2  # that a worker keeps open
_made: dict[str, Predictor] = {}
_planned: OrderedDict[tuple[str, int], Planned] = OrderedDict()


@dataclass(frozen=True)
class Work:
    """What all tasks of a run share.

    Attributes:
        key: of this run, no other's.
        make: makes the predictor; called once in each worker.
        precision: that results are of; None: of any.
    """

    key: str
    make: Callable[[], Predictor]
    precision: str | None = None


@dataclass(frozen=True)
class Receipt:
    """What became of a step.

    Attributes:
        status: "done", "failed", or "begun" for a slide whose blocks are to be predicted.
        facts: of a done image, for its record; of a failed step its "error".
        blocks: of a slide that was begun.
        seconds: that it took.
    """

    status: str
    facts: dict[str, Any] = field(default_factory=dict)
    blocks: Sequence[Block] = ()
    seconds: float = 0.0


def describe_worker(work: Work, options: PredictOptions, folder: Path, image: Path) -> dict[str, Any]:
    """Return what the record says of the model and the machine, by a worker.

    Raises:
        ConfigError: it does not see the images or the output folder.
    """
    for path, what in ((image, "the images"), (folder, "the output folder")):
        if not path.exists():
            raise ConfigError(f"a worker does not see {what}, {path}: give a path on a disk that all machines share")
    return describe(_predictor(work), options)


def begin(work: Work, task: Task, rows: int) -> Receipt:
    """Predict a picture, or make a slide ready.

    rows: of windows of a slide's block.
    """

    def call() -> Receipt:
        planned = _plan(work, task)
        if planned.slide is None:
            return Receipt("done", predict_planned(_predictor(work), planned, _silent))
        return Receipt("begun", blocks=planned.slide.begin(rows))

    return _receipt(call)


def predict_block(work: Work, task: Task, block: Block) -> Receipt:
    """Predict a block of a slide."""

    def call() -> Receipt:
        planned = _plan(work, task)
        assert planned.slide is not None
        planned.slide.predict(block, _silent)
        return Receipt("done")

    return _receipt(call)


def finish(work: Work, task: Task) -> Receipt:
    """Write the files of a slide whose blocks are all there."""

    def call() -> Receipt:
        planned = _plan(work, task)
        assert planned.slide is not None
        return Receipt("done", planned.told(planned.slide.finish(_silent)))

    return _receipt(call)


def _predictor(work: Work) -> Predictor:
    if work.key not in _made:
        _made.clear()
        _planned.clear()
        _use_own_processor()
        _made[work.key] = work.make()
    predictor = _made[work.key]
    own = predictor.machine()["precision"]
    if work.precision not in (None, own):
        raise ConfigError(
            f"this worker computes in {own}, others in {work.precision}: --precision float32 makes them alike"
        )
    return predictor


def _use_own_processor() -> None:
    """Take a thread on a CPU, and of several GPUs of one machine the one of this worker's number."""
    import torch
    from distributed import get_worker

    torch.set_num_threads(1)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    name = get_worker().name
    if count > 1 and isinstance(name, int):  # of a cluster of one machine; others have a job, and its GPU, each
        torch.cuda.set_device(name % count)


def _plan(work: Work, task: Task) -> Planned:
    """The image, looked at; those last asked for are kept."""
    key = (work.key, task.index)
    planned = _planned.pop(key, None) or plan_one(_predictor(work), task.job, task.options)
    _planned[key] = planned
    while len(_planned) > _SLIDES:
        _planned.popitem(last=False)
    return planned


def _receipt(call: Callable[[], Receipt]) -> Receipt:
    began = time.perf_counter()
    try:
        found = call()
    except (SegdiffError, OSError, MemoryError) as error:
        found = Receipt("failed", {"error": one_line(error)})
    except Exception as error:  # ours to mend: the worker's log has all of it
        traceback.print_exc()
        found = Receipt("failed", {"error": one_line(error)})
    return Receipt(found.status, found.facts, found.blocks, time.perf_counter() - began)


def _silent(share: float) -> None:
    """Nobody is told how far a step is."""
