"""How far a training is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO


class Progress:
    """One line of state a call of `step`; on a terminal a bar, elsewhere a line at most every `every` seconds.

    Args:
        total, start: steps of the whole training, and those done before this call.
        stream: standard error unless given.
        every: seconds between plain lines; the first and the last step always have theirs.
        silent: say nothing: another process does.
    """

    def __init__(
        self, total: int, start: int = 0, stream: TextIO | None = None, every: float = 15.0, silent: bool = False
    ) -> None:
        self.silent = silent
        self.total, self.start, self.every = total, start, every
        self.stream = stream or sys.stderr
        self.began = self.last = time.monotonic()
        self.first = True
        self.bar = None
        if self.stream.isatty() and not silent:
            from tqdm import tqdm

            self.bar = tqdm(total=total, initial=start, file=self.stream, unit="step", dynamic_ncols=True)

    def step(self, done: int, state: Callable[[], str]) -> None:
        """`done` steps are done; `state` says loss and the like, and is called only when a line is shown."""
        now = time.monotonic()
        if self.bar is not None:
            self.bar.update(done - self.bar.n)
            self.bar.set_postfix_str(state(), refresh=False)
        elif self.first or done == self.total or now - self.last >= self.every:
            rate = (done - self.start) / max(now - self.began, 1e-9)
            left = "" if self.first else f"  {clock((self.total - done) / rate)} left"
            self.say(f"step {done}/{self.total}  {state()}{left}")
            if self.first:  # the first step also sets things up: it tells nothing of the others
                self.start, self.began = done, now
            self.first, self.last = False, now

    def say(self, text: str) -> None:
        """A line of its own."""
        if self.silent:
            return
        if self.bar is not None:
            self.bar.write(text, file=self.stream)
        else:
            print(text, file=self.stream, flush=True)

    def close(self) -> None:
        """End the bar."""
        if self.bar is not None:
            self.bar.close()


def clock(seconds: float) -> str:
    """3725 -> "1:02:05", 65 -> "1:05"."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"
