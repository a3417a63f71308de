"""Calls side by side, for work that spends its time outside of Python's lock."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")
MOST = 8  # calls at a time: each holds memory of its own


def thread_count() -> int:
    """How many threads are worth their while: the processors that this process may use, or OMP_NUM_THREADS if fewer."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    processors = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(processors, int(wanted) if wanted.isdecimal() else processors))


def in_threads(call: Callable[..., Result], *arguments: Iterable[Any]) -> Iterator[Result]:
    """Like `map`: results in order, each asked for when there is room, so that few of them are in memory."""
    most = min(thread_count(), MOST)
    if most == 1:
        yield from map(call, *arguments)
        return
    with ThreadPoolExecutor(most) as pool:
        waiting: deque[Future[Result]] = deque()
        for one in zip(*arguments, strict=False):
            if len(waiting) == most:
                yield waiting.popleft().result()
            waiting.append(pool.submit(call, *one))
        while waiting:
            yield waiting.popleft().result()
