"""One run at a time in a folder of results: two would replace each other's record, and remove each other's strips."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from segdiff.errors import ConfigError

_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


@contextmanager
def alone_in(folder: Path, shared: bool = False) -> Iterator[None]:
    """Hold a folder for this run until the block ends. A process that dies lets it go, however it dies.

    Where the system has no such locks, or the disk does not (some network disks), nothing is held.

    Args:
        folder: made if it does not exist; removed again where nothing came into it.
        shared: others that say so, too, may work in it at the same time.
    Raises:
        ConfigError: another run holds it.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # it cannot be used at all, which its first file says
        yield
        return
    try:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD:
                raise ConfigError(
                    f"another run is at work in {folder}: wait for it, or choose another output folder"
                ) from None
        yield
    finally:
        os.close(handle)
        if made:
            with suppress(OSError):  # something lies in it
                folder.rmdir()
