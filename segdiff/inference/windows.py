"""Where windows lie: integers only."""

from __future__ import annotations

from segdiff.data.windows import Window
from segdiff.errors import ConfigError

__all__ = ["Window", "plan_windows", "round_up", "window_starts"]


def round_up(length: int, multiple: int) -> int:
    """The smallest multiple that is not below `length`: (100, 16) -> 112."""
    return length + -length % multiple


def window_starts(length: int, window: int, overlap: float) -> list[int]:
    """Starts of windows that cover [0, length), as few as give the overlap, evenly spread.

    (110, 64, 0.5) -> [0, 23, 46]; (512, 256, 0.0) -> [0, 256]; (100, 256, 0.25) -> [0].

    Args:
        length, window: pixels, at least 1.
        overlap: least share of a window that its neighbour covers too, 0 <= overlap < 1.
    Raises:
        ConfigError: a window or an overlap that cannot be.
    """
    if window < 1:
        raise ConfigError(f"window={window}: a window has at least 1 pixel")
    if not 0 <= overlap < 1:
        raise ConfigError(f"overlap={overlap}: it is a share of the window, at least 0 and below 1")
    if window >= length:
        return [0]  # the caller pads the image up to one window
    stride = max(1, int(window * (1 - overlap)))
    gaps = -(-(length - window) // stride)
    return [(2 * i * (length - window) + gaps) // (2 * gaps) for i in range(gaps + 1)]


def plan_windows(height: int, width: int, window: int | None, overlap: float) -> list[Window]:
    """Windows that cover an image, row by row; None takes the whole image as one.

    No window reaches beyond the image. In an image that is smaller than a window it ends with the image, and
    padding it at the right and bottom is the reader's matter.

    Raises:
        ConfigError: as `window_starts`.
    """
    if window is None:
        return [Window(0, 0, height, width)]
    return [
        Window(top, left, min(window, height), min(window, width))
        for top in window_starts(height, window, overlap)
        for left in window_starts(width, window, overlap)
    ]
