"""Hands the images of a run to workers, and collects their receipts.

A picture is one task. A slide is one that makes it ready, one for each block of rows of windows, and one that writes
its files. Futures are released as they come, so that a worker's death costs what it was at and nothing that was done.
"""

from __future__ import annotations

import heapq
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from segdiff.inference.options import PredictOptions
from segdiff.inference.protocol import Predictor
from segdiff.workflows.cluster import worker
from segdiff.workflows.cluster.worker import Receipt, Work
from segdiff.workflows.engine import Ended, Report, Task
from segdiff.workflows.predict_one import one_line
from segdiff.workflows.slides.predict import OF_STRIPS

ROWS = 8  # of windows of a slide's block; the row above each is run twice
_LAST = (2, 0, 0)  # rank of an image that was not begun


@dataclass
class _Slide:
    """A slide that was begun: its blocks, those that are not done, those that failed, seconds of all workers."""

    blocks: int
    left: int
    seconds: float
    failed: list[str] = field(default_factory=list)


@dataclass(order=True)
class _Step:
    """Something for a worker to do; of those that are ready the least goes first."""

    rank: tuple[int, int, int]
    call: Callable[..., Receipt] = field(compare=False)
    task: Task = field(compare=False)
    told: tuple[Any, ...] = field(compare=False, default=())


class ClusterEngine:
    """Predicts images on the workers of a client.

    Each worker has one task at a time: Dask holds all that a worker had against it when it dies, and would give up
    blocks for the one that killed it.

    Args:
        client: a `distributed.Client`.
        make: makes the predictor, in each worker; it and what it holds are pickled.
        rows: of windows of a slide's block.
    """

    def __init__(self, client: Any, make: Callable[[], Predictor], rows: int = ROWS) -> None:
        self.client, self.work, self.rows = client, Work(uuid.uuid4().hex, make), rows
        self._slides: dict[int, _Slide] = {}
        self._ready: list[_Step] = []
        self._out: dict[str, _Step] = {}  # by the key of a future

    def describe(self, options: PredictOptions, folder: Path, image: Path) -> dict[str, Any]:
        """Return what the record says of model and machine, as a worker sees them.

        Raises:
            ConfigError: workers do not see the folder of results, or the image.
        """
        places = folder.absolute(), image.absolute()
        future = self.client.submit(worker.describe_worker, self.work, options, *places, pure=False)
        found: dict[str, Any] = future.result()
        self.work = replace(self.work, precision=found["precision"])
        return found

    def run(self, tasks: Sequence[Task], report: Report) -> Iterator[Ended]:
        """Predict images; give each as it is done or failed, with what the record says of it.

        report: told the fraction of an image that is done.
        """
        import distributed

        as_completed: Any = distributed.as_completed

        waiting = iter(tasks)
        futures = as_completed([], loop=self.client.loop)
        self._hand_out(waiting, futures)
        for future in futures:
            step = self._out.pop(future.key)
            receipt = self._receipt_of(future)
            future.release()
            ended = self._take(step, receipt, report)
            self._hand_out(waiting, futures)
            if ended is not None:
                yield step.task, ended.status, ended.facts

    def _hand_out(self, waiting: Iterator[Task], futures: Any) -> None:
        """Give each worker something to do: what is ready, or the next image."""
        workers = max(1, len(self.client.nthreads()))
        while len(self._out) < workers:
            if self._ready:
                step = heapq.heappop(self._ready)
            elif (task := next(waiting, None)) is not None:
                step = _Step(_LAST, worker.begin, task, (self.rows,))
            else:
                return
            future = self.client.submit(step.call, self.work, _absolute(step.task), *step.told, pure=False)
            self._out[future.key] = step
            futures.add(future)

    @staticmethod
    def _receipt_of(future: Any) -> Receipt:
        """What a worker says, or what happened to it."""
        from distributed import KilledWorker

        try:
            found: Receipt = future.result()
            return found
        except KilledWorker:
            return Receipt("failed", {"error": "workers died at it, one after another: out of memory, most likely"})
        except Exception as error:  # it could not be sent, or the scheduler gave it up
            return Receipt("failed", {"error": one_line(error)})

    def _take(self, step: _Step, receipt: Receipt, report: Report) -> Receipt | None:
        """Do what a receipt asks for; the receipt of the whole image where it ends with this one."""
        task = step.task
        if receipt.status == "begun":
            self._slides[task.index] = _Slide(len(receipt.blocks), len(receipt.blocks), receipt.seconds)
            for number, block in enumerate(receipt.blocks):
                rank = (1, task.index, number)
                heapq.heappush(self._ready, _Step(rank, worker.predict_block, task, (block,)))
            return self._after_blocks(task)
        if step.call is worker.begin:
            return receipt
        slide = self._slides[task.index]
        slide.seconds += receipt.seconds
        if step.call is worker.predict_block:
            slide.left -= 1
            if receipt.status == "failed":
                slide.failed.append(f"{step.told[0]}: {receipt.facts['error']}")
            report(task, OF_STRIPS * (1 - slide.left / slide.blocks))
            return self._after_blocks(task)
        del self._slides[task.index]  # its files are written
        if receipt.status == "failed":
            return receipt
        return replace(receipt, facts={**receipt.facts, "seconds": round(slide.seconds, 3)})

    def _after_blocks(self, task: Task) -> Receipt | None:
        """Have a slide's files written if all its blocks are there; its receipt where some failed."""
        slide = self._slides[task.index]
        if slide.left:
            return None
        if not slide.failed:
            heapq.heappush(self._ready, _Step((0, task.index, 0), worker.finish, task))
            return None
        del self._slides[task.index]
        more = f" (and {len(slide.failed) - 1} more blocks)" if len(slide.failed) > 1 else ""
        return Receipt("failed", {"error": f"{slide.failed[0]}{more}; what is done of it stays, and --resume goes on"})


def _absolute(task: Task) -> Task:
    """A task that does not depend on the folder that a worker was started in, and that may be done twice.

    That no file is there before, or may be replaced, is known: so one that is there is of a worker that died.
    """
    job, options = task.job, replace(task.options, overwrite=True)
    if options.region is not None and Path(options.region).exists():
        options = replace(options, region=str(Path(options.region).absolute()))
    return Task(task.index, replace(job, image=job.image.absolute(), folder=job.folder.absolute()), options)
