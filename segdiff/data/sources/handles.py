"""Open files that survive a fork and a pickle: each process opens its own."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from typing import Any


class Reopened(ABC):
    """Something that each process must open anew, such as a file, whose position processes would share."""

    def __init__(self) -> None:
        self._opened: Any = None
        self._process: int | None = None
        self.lock = threading.Lock()

    @abstractmethod
    def _open(self) -> Any:
        """Open it; the result has a method `close`."""

    def get(self) -> Any:
        """Return this process's own, opened at its first call."""
        if self._opened is None or self._process != os.getpid():
            self.lock = threading.Lock()  # a fork may have copied one that was held
            self._opened, self._process = self._open(), os.getpid()
        return self._opened

    def close(self) -> None:
        """Close this process's own; `get` opens it again."""
        opened, self._opened = getattr(self, "_opened", None), None
        if opened is not None and self._process == os.getpid():
            opened.close()

    def __del__(self) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_opened", "_process", "lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Reopened.__init__(self)
        vars(self).update(state)


class FileBytes(Reopened):
    """Bytes of a file at any place, for any thread of any process."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def _open(self) -> Any:
        return open(self.path, "rb")  # noqa: PTH123, SIM115  stays open until `close`

    def read(self, offset: int, count: int) -> bytes:
        """Read `count` bytes from `offset` on; fewer where the file ends before."""
        file = self.get()
        with self.lock:
            file.seek(offset)
            return bytes(file.read(count))
