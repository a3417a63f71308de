"""Which values of a picture mean black and white: found from the range that is used, not from the type.

    uint8     0 to 255, as they are
    bool      False is black, True is white
    others    0 to the lowest of these that the values do not go beyond: 1 (floats only), 255, and what is white to
              cameras of 10, 12, 14 and 16 bits: 1023, 4095, 16383, 65535

Multiples of 257 are 8 bits spread over 16. A few hot pixels change nothing, nor does what resampling overshoots in
floats. Where no such white is near, the values need a range from the user.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.errors import DataError

WHITES = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)
OVERSHOOT = 0.25  # of the white, above it and below black, in floats: sharp resampling reaches 0.2
# Shares of the pixels that may lie beyond. Pictures that were divided by their 99.8th percentile are in 0..1, too.
OUTLIERS, UNIT_OUTLIERS = 1e-4, 5e-3
SPREAD = 257  # 8 bits that were spread over 16: 255 became 65535, however dark the picture is
FAR = 25.0  # times a white of 1, beyond which no such division leads
# A coloured picture on a bright ground whose brightest part stays below this share of the white was not of its bits:
# stained tissue reaches 0.85 and more.
LEAST_WHITE, BRIGHT_GROUND, COLOURED = 0.7, 0.5, 0.02
DARKEST = 0.1  # the same of floats in 0..255
_STRIP_ROWS = 1024  # rows looked at in one go: arrays on disk are larger than memory
_LATTICE = 256  # positions along a side for percentiles
ASK = "say which values are black and white (segdiff predict --range LOW HIGH)"


@dataclass(frozen=True)
class ValueRange:
    """What means white (black is 0), and a sentence where that is not a matter of course."""

    white: float
    note: str | None = None


def value_scale(source: Any) -> float:
    """Return the factor that brings the values of an array to the 0..255 scale.

    Args:
        source: as of `value_range`. For a window of a large array, take the factor of the whole array: a dark window
            of floats in 0..255 looks like one in 0..1.
    Raises:
        DataError: as `value_range`.
    """
    return 255.0 / value_range(source).white


def value_range(source: Any) -> ValueRange:
    """Find which values are black and white, by the rule of this module.

    Args:
        source: (H, W) or (H, W, C), anything with `shape`, `dtype` and slices. Only types whose values must be looked
            at are read, a strip of rows at a time.
    Raises:
        DataError: a type that is no number, NaN or infinity, or values without a rule.
    """
    dtype = np.dtype(source.dtype)
    if dtype in (np.uint8, np.bool_):
        return ValueRange(255.0 if dtype == np.uint8 else 1.0)
    if dtype.kind not in "iuf":
        raise DataError(f"image values are {dtype}; give whole numbers, bool or floats")
    whites = ((1.0,) if dtype.kind == "f" else ()) + WHITES
    found = _Counts(source, whites, OVERSHOOT if dtype.kind == "f" else 0.0)
    few = int(found.lit * OUTLIERS)
    for white, above in zip(whites, found.above, strict=True):
        allowed = int(found.lit * UNIT_OUTLIERS) if white == 1 and found.far <= few else few
        if above <= allowed and found.below(white) <= few:
            if dtype == np.uint16 and found.high > 255 and found.are_multiples(SPREAD):
                white = WHITES[-1]
            return ValueRange(white, _note(source, dtype, white, found))
    raise DataError(
        f"image values of type {dtype} go from {found.low:g} to {found.high:g}, which is neither 0 to 1, 0 to 255 nor "
        f"what a camera of 10 to 16 bits gives; {ASK}"
    )


class _Counts:
    """How many values lie above each white; `lit`: how many are not 0; `far`: how many are above `FAR`."""

    def __init__(self, source: Any, whites: tuple[float, ...], slack: float) -> None:
        self.source = source
        self.low, self.high, self.lit, self.far = np.inf, -np.inf, 0, 0
        self.above = [0] * len(whites)
        for strip in _strips(source):
            low, high = float(strip.min()), float(strip.max())
            if not np.isfinite([low, high]).all():
                bad = int((~np.isfinite(strip)).sum())
                raise DataError(f"{bad} or more of its values are NaN or infinite: give them a number first")
            self.low, self.high = min(self.low, low), max(self.high, high)
            self.lit += int(np.count_nonzero(strip))
            self.far += int(np.count_nonzero(strip > FAR)) if high > FAR else 0
            for number, white in enumerate(whites):
                if high > white * (1 + slack):
                    self.above[number] += int(np.count_nonzero(strip > white * (1 + slack)))

    def are_multiples(self, factor: int) -> bool:
        """Whether all values are multiples of a factor."""
        return all(not (strip % factor).any() for strip in _strips(self.source))

    def below(self, white: float) -> int:
        """How many lie farther below 0 than what overshoots from 0 to this white, or to the largest value."""
        limit = -OVERSHOOT * min(white, max(self.high, 0))
        return 0 if self.low >= limit else sum(int(np.count_nonzero(strip < limit)) for strip in _strips(self.source))


def _note(source: Any, dtype: np.dtype[Any], white: float, found: _Counts) -> str | None:
    """Say what a white of 10 to 16 bits was taken from, where it matters; refuse one that cannot be."""
    said = f"its {dtype} values reach {found.high:g}"
    if white <= 255:
        if dtype.kind == "f" and white == 255 and _is_too_dark(source, white, DARKEST):
            raise DataError(f"{said}, which is neither 0 to 1 nor 0 to 255; {ASK}")
        return None
    if _is_too_dark(source, white, LEAST_WHITE):
        raise DataError(f"{said}, which is the white of neither 8, 10, 12, 14 nor 16 bits; {ASK}")
    if dtype == np.uint16 and (white == WHITES[-1] or not _has_colours(source)):
        return None  # as a matter of course; grey pictures are seen by their own percentiles
    bits = round(np.log2(white + 1))
    return f"{said}: taken for {bits} bits, of which {white:g} is white (--range LOW HIGH says otherwise)"


def _is_too_dark(source: Any, white: float, least: float) -> bool:
    """Whether a coloured picture on a bright ground stays below this share of the white."""
    if not _has_colours(source):
        return False
    step = [-(-length // _LATTICE) for length in source.shape[:2]]
    lattice = np.asarray(source[:: step[0], :: step[1]])[..., :3].astype(np.float32)
    brightest = lattice.max(axis=-1)
    middle, top = np.percentile(brightest, [50, 99.9])
    coloured = float((brightest - lattice.min(axis=-1)).mean()) > COLOURED * top
    return bool(coloured and middle > BRIGHT_GROUND * top and top < least * white)


def _has_colours(source: Any) -> bool:
    return len(source.shape) == 3 and source.shape[2] >= 3


def _strips(source: Any) -> Iterator[NDArray[Any]]:
    """Strips of rows, without the fourth channel, which is alpha."""
    alpha = len(source.shape) == 3 and source.shape[2] == 4
    for row in range(0, source.shape[0], _STRIP_ROWS):
        strip = np.asarray(source[row : row + _STRIP_ROWS])
        strip = strip[..., :3] if alpha else strip
        yield strip.astype(np.float32) if strip.dtype == np.float16 else strip  # whites are beyond its range
