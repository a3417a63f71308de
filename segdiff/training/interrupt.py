"""Ctrl-C and SIGTERM end a training between two steps, not in the middle of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Within the block the first signal only sets `asked`; a second one interrupts at once.

    Signals can be caught in the main thread alone; in another one nothing is changed.
    """

    def __init__(self) -> None:
        self.asked = False
        self._held = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._catch) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within this block not even a second signal interrupts: a checkpoint is written."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def _catch(self, number: int, frame: FrameType | None) -> None:
        if self.asked and not self._held:
            raise KeyboardInterrupt
        self.asked = True
