"""Does a picture look like those that a model was trained on?

Four numbers of a picture's pixels, and the size of the objects found in it, are laid beside the range that they had in
training. A model may be wrong on a picture within these ranges, and right on one outside: this finds photographs,
inverted or unstained pictures, empty slides and other magnifications, no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NO_OBJECT = "no object was found"
LATTICE = 64  # positions along a side that are looked at
MARGIN = 0.25  # of the training's range, at either end: augmentation goes beyond it, too
LEAST_MARGIN = 12.0  # grey levels: a few pictures say little of the next
EVEN = 4.0  # grey levels: a picture of less contrast shows nothing
SIZES = 1.5  # times smaller or larger than in training: another magnification
SAID = {
    "lightness": ("darker", "lighter"),
    "contrast": ("paler", "richer in contrast"),
    "red_green": ("greener", "redder"),
    "blue_green": ("yellower", "bluer"),
}
Ranges = Mapping[str, Sequence[float]]


def measure(image: Any, convert: Callable[[Any], NDArray[Any]] = np.asarray) -> dict[str, float]:
    """Lightness (median grey level), contrast (1st to 99th percentile), red less green and blue less green (means), all
    on the scale of 0 to 255.

    image: (H, W[, C]), anything with `shape` that slices with a stride; `convert` makes (h, w, C) on the 0..255 scale
    of what it gives. A picture of one channel is grey.
    """
    height, width = image.shape[:2]
    lattice = convert(image[:: -(-height // LATTICE), :: -(-width // LATTICE)]).astype(np.float64)
    red, green, blue = (lattice[..., min(c, lattice.shape[2] - 1)] for c in range(3))
    grey = (red + green + blue) / 3
    low, high = np.percentile(grey, [1, 99])
    return {
        "lightness": float(np.median(grey)),
        "contrast": float(high - low),
        "red_green": float((red - green).mean()),
        "blue_green": float((blue - green).mean()),
    }


def ranges(measured: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """The least and the greatest of each number over the training pictures."""
    names = measured[0] if measured else ()
    values = {name: [one[name] for one in measured] for name in names}
    return {name: [round(min(v), 2), round(max(v), 2)] for name, v in values.items()}


def remarks_on_picture(found: Mapping[str, float], trained: Ranges) -> list[str]:
    """What is unlike the training pictures, in words; empty where nothing is, or nothing is known of them."""
    if found["contrast"] < EVEN:
        return ["it is even: there is nothing to see"]
    said = []
    for name, (less, more) in SAID.items():
        if name not in trained:
            continue
        low, high = trained[name]
        slack = max(MARGIN * (high - low), LEAST_MARGIN)
        if not low - slack <= found[name] <= high + slack:
            said.append(less if found[name] < low else more)
    return [f"it is {' and '.join(said)} than any picture that the model was trained on"] if said else []


def remarks_on_objects(diameter: float | None, trained: Ranges, factor: float) -> list[str]:
    """Likewise of the objects found.

    diameter: of a typical one, in pixels of the picture (`inference.objects.typical_diameter`); None: there is none.
    factor: from the picture's grid to the model's.
    """
    if diameter is None:
        return [NO_OBJECT]
    if "diameter_px" not in trained:
        return []
    low, high = trained["diameter_px"]
    if low / SIZES <= diameter * factor <= high * SIZES:
        return []
    return [
        f"its objects look {diameter:.0f} pixels wide, and the model knows {low / factor:.0f} to {high / factor:.0f} "
        "at this scale: if they are, give that as the diameter"
    ]
