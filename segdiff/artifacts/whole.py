"""A folder that is replaced when the new one is whole."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from segdiff.errors import OutputError, SegdiffError


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A new, empty folder to fill, which takes the place of `target` when the block ends without an error.

    Raises:
        OutputError: it cannot be written.
    """
    new = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    old = target.with_name(f"{new.name}.old")
    try:
        new.mkdir(parents=True)
        yield new
        if target.exists():
            target.replace(old)
        new.replace(target)
    except SegdiffError:  # some are OSErrors, too
        raise
    except OSError as error:
        raise OutputError.of(target, error) from error
    finally:
        if old.exists() and not target.exists():  # cut between the two renames
            with suppress(OSError):
                old.replace(target)
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(new, ignore_errors=True)
