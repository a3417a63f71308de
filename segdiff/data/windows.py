"""A rectangle of an image."""

from __future__ import annotations

from typing import NamedTuple


class Window(NamedTuple):
    """A rectangle of an image: rows top .. top + height - 1, columns left .. left + width - 1."""

    top: int
    left: int
    height: int
    width: int

    @property
    def rows(self) -> slice:
        """Return the rows that it covers, as a slice."""
        return slice(self.top, self.top + self.height)

    @property
    def columns(self) -> slice:
        """Return the columns that it covers, as a slice."""
        return slice(self.left, self.left + self.width)

    def clipped(self, height: int, width: int) -> Window:
        """Return the part that lies within an image of that size; it has no pixels where nothing does."""
        top, left = max(self.top, 0), max(self.left, 0)
        bottom, right = min(self.top + self.height, height), min(self.left + self.width, width)
        return Window(top, left, max(bottom - top, 0), max(right - left, 0))

    def grown(self, margin: int) -> Window:
        """Return the rectangle that reaches `margin` pixels further at every side."""
        return Window(self.top - margin, self.left - margin, self.height + 2 * margin, self.width + 2 * margin)


def tiles(height: int, width: int, side: int) -> list[Window]:
    """List the squares of `side` pixels that cover an image, row by row; the last ones end with the image."""
    return [
        Window(top, left, min(side, height - top), min(side, width - left))
        for top in range(0, height, side)
        for left in range(0, width, side)
    ]
