"""How far a run over images is: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from segdiff.training.progress import clock


class ImageProgress:
    """Called with (images done, images in all, name of the current one); a part of an image is a fraction.

    Args:
        stream: standard error unless given.
        every: seconds between plain lines; a run that is shorter prints none.
    """

    def __init__(self, stream: TextIO | None = None, every: float = 15.0) -> None:
        self.stream, self.every = stream or sys.stderr, every
        self.began = self.last = time.monotonic()
        self._bar: Any = None

    def __call__(self, done: float, total: int, name: str) -> None:
        if self.stream.isatty():
            self._show_bar(done, total, name)
        elif time.monotonic() - self.last >= self.every:
            self.last = time.monotonic()
            left = clock((self.last - self.began) / done * (total - done)) if done else "?"
            print(
                f"image {min(int(done) + 1, total)}/{total}  {name}  {done / total:.0%}  {left} left",
                file=self.stream,
            )
            self.stream.flush()

    def _show_bar(self, done: float, total: int, name: str) -> None:
        if self._bar is None:
            from tqdm import tqdm

            form = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
            self._bar = tqdm(total=total, file=self.stream, bar_format=form, leave=False, dynamic_ncols=True)
        label = f"{min(int(done) + 1, total)}/{total} {name[:40]}"
        if self._bar.desc != label:
            self._bar.set_description_str(label, refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> ImageProgress:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
