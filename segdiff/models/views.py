"""The eight dihedral views of a picture."""

from __future__ import annotations

from torch import Tensor


def dihedral(x: Tensor, view: int) -> Tensor:
    """View 0..7 of (..., H, W): bit 0 mirrors columns, bit 1 rows, then bit 2 transposes. View 0 is x itself."""
    axes = [axis for bit, axis in ((1, -1), (2, -2)) if view & bit]
    x = x.flip(axes) if axes else x
    return x.transpose(-1, -2) if view & 4 else x


def undo_dihedral(x: Tensor, view: int) -> Tensor:
    """The inverse of `dihedral` with the same view."""
    x = x.transpose(-1, -2) if view & 4 else x
    axes = [axis for bit, axis in ((1, -1), (2, -2)) if view & bit]
    return x.flip(axes) if axes else x
