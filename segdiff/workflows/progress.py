"""How a workflow says how far it is."""

from __future__ import annotations

from collections.abc import Callable

# Called with (images done, images in all, name of the current one); a part of an image counts as a fraction.
Progress = Callable[[float, int, str], None]
