"""What a picture file stores, before anything is made of it, and what of a file is to be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.errors import ConfigError, DataError

# Pixels that take more memory than this, and than so many times their file: a bomb. A photograph is compressed 20
# times at most, a nearly empty mask of 8 bits 1000 times, but that of 30000 x 30000 pixels is refused, too.
BOMB_BYTES, BOMB_RATIO = 2**30, 500


DEPTHS = ("max", "middle")


@dataclass(frozen=True)
class ReadOptions:
    """Choose what of a file is read, and what its values mean; numbers count from 1.

    Args:
        page: picture of a file that holds several; together with `channel` or `z`, of those that these leave.
        channel: the only one that is read, as a grey picture. Of colours 1 is red; alpha is the last.
        z: plane of a stack: its number, "middle", or "max" for the largest value of all planes at each pixel.
        value_range: (low, high), the values that mean black and white. None: found from the values (`value_range`).
    Raises:
        ConfigError: a number below 1, another word for z, or a range that is none.
    """

    page: int | None = None
    channel: int | None = None
    z: int | str | None = None
    value_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("page", "channel", "z"):
            value = getattr(self, name)
            if value is None or (name == "z" and value in DEPTHS):
                continue
            if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
                continue
            words = "max, middle or " if name == "z" else ""
            raise ConfigError(f"{name}={value}: give {words}a whole number; they are counted from 1")
        if self.value_range is not None:
            low, high = (float(value) for value in self.value_range)
            if not (np.isfinite([low, high]).all() and low < high):
                raise ConfigError(f"range={low:g} {high:g}: the first must be below the second, and both finite")
            object.__setattr__(self, "value_range", (low, high))


@dataclass(frozen=True)
class Stored:
    """The stored values of one picture, whatever the file says about how to display them.

    Attributes:
        values: (H, W) or (H, W, C), without alpha; indices where there is a palette.
        alpha: (H, W), what the file declares as such; None without.
        palette: uint8 (n, 3), the colour of each index; None where values are no indices.
        bits: significant ones of an integer, where the file says that they are fewer than the type has.
        lossy: compressed so that neighbouring values run into each other.
    """

    values: NDArray[Any]
    alpha: NDArray[Any] | None = None
    palette: NDArray[np.uint8] | None = None
    bits: int | None = None
    lossy: bool = False

    @property
    def channels(self) -> int:
        """How many `--channel` can choose from, alpha among them."""
        colours = 3 if self.palette is not None else self.values.shape[2] if self.values.ndim == 3 else 1
        return colours + (self.alpha is not None)

    def colours(self) -> NDArray[Any]:
        """Return the values, of a palette its colours."""
        if self.palette is None:
            return self.values
        if self.values.max(initial=0) >= len(self.palette):
            raise DataError(f"index {self.values.max()} is used, and its palette has {len(self.palette)} colours")
        return self.palette[self.values]


def pick_channel(stored: Stored, channel: int, path: Path) -> Stored:
    """Return one channel alone, counted from 1; alpha is the last.

    Raises:
        DataError: there are not so many.
    """
    if channel > stored.channels:
        raise DataError(f"{path} has {count(stored.channels, 'channel')}: there is no --channel {channel}")
    if stored.alpha is not None and channel == stored.channels:
        return Stored(stored.alpha, lossy=stored.lossy)
    values = stored.colours()
    single = values if values.ndim == 2 else values[..., channel - 1]
    return Stored(single, stored.alpha, bits=None if stored.palette is not None else stored.bits, lossy=stored.lossy)


def refuse_bombs(path: Path, size: int) -> None:
    """Refuse a file whose pixels, `size` bytes or more, are far more than what so few bytes can honestly hold."""
    there = path.stat().st_size
    if size > BOMB_BYTES and size > BOMB_RATIO * there:
        raise DataError(
            f"{path} holds {there} bytes and would take {size / 1e9:.1f} GB of memory, as no picture does: a "
            "decompression bomb? (if it is yours, save it without compression)"
        )


def damaged(path: Path) -> DataError:
    """Return the error for a file of a known kind whose content cannot be decoded."""
    return DataError(f"{path} cannot be read: it is damaged or truncated (fetch it anew, or save it as PNG elsewhere)")


def count(number: int, what: str) -> str:
    """Return "1 page", "3 pages"."""
    return f"{number} {what}{'' if number == 1 else 's'}"
