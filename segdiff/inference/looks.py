"""Does a picture look like those that a model was trained on?

Four numbers of a picture's pixels, and the size of the objects found in it, are laid beside the range that they had in
training, grey pictures beside grey ones and coloured beside coloured ones. A model may be wrong on a picture within
these ranges, and right on one outside: this finds photographs, inverted or unstained pictures, empty slides and other
magnifications, no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.models.normalisation import DENSE, grey_levels, is_grey

GREY, COLOURED = "grey_", "coloured_"
NO_OBJECT = "no object was found"
LATTICE = 64  # positions along a side that are looked at
MARGIN = 0.1  # of the training's range, at either end: augmentation goes beyond it, too
LEAST_MARGIN = 12.0  # grey levels: a few pictures say little of the next
EVEN = 4.0  # grey levels: a picture of less contrast shows nothing, unless some of the training's had hardly more
SIZES = 1.3  # times smaller or larger than in training: another magnification
SAID = {
    "lightness": ("darker", "lighter"),
    "contrast": ("paler", "richer in contrast"),
    "red_green": ("greener", "redder"),
    "blue_green": ("yellower", "bluer"),
}
Ranges = Mapping[str, Sequence[float]]


def measure(image: Any, convert: Callable[[Any], NDArray[Any]] = np.asarray) -> dict[str, float]:
    """Lightness (median grey level), contrast (`segdiff.models.normalisation.grey_levels`), and of coloured pictures
    red less green and blue less green (means), all on the scale of 0 to 255; names begin with "grey_" or "coloured_".

    image: (H, W[, C]), anything with `shape` that slices with a stride; `convert` makes (h, w, C) on the 0..255 scale
    of what it gives. A picture of one channel is grey.
    """
    height, width = image.shape[:2]
    lattice = convert(image[:: -(-height // LATTICE), :: -(-width // LATTICE)]).astype(np.float64)
    red, green, blue = (lattice[..., min(c, lattice.shape[2] - 1)] for c in range(3))
    brightness = (red + green + blue) / 3
    more = convert(image[:: -(-height // DENSE), :: -(-width // DENSE)])
    low, high, _ = grey_levels(brightness, more[..., :3].mean(axis=-1))
    found = {"lightness": float(np.median(brightness)), "contrast": float(high - low)}
    if is_grey(lattice):
        return {f"{GREY}{name}": value for name, value in found.items()}
    found |= {"red_green": float((red - green).mean()), "blue_green": float((blue - green).mean())}
    return {f"{COLOURED}{name}": value for name, value in found.items()}


def ranges(measured: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """The least and the greatest of each number over the training pictures."""
    values: dict[str, list[float]] = {}
    for one in measured:
        for name, value in one.items():
            values.setdefault(name, []).append(value)
    return {name: [round(min(v), 2), round(max(v), 2)] for name, v in values.items()}


def remarks_on_picture(found: Mapping[str, float], trained: Ranges) -> list[str]:
    """What is unlike the training pictures, in words; empty where nothing is, or nothing is known of them."""
    kind = next(iter(found)).partition("_")[0] + "_"
    if found[f"{kind}contrast"] < min(EVEN, trained.get(f"{kind}contrast", (2 * EVEN,))[0] / 2):
        return ["it is nearly even: what is found in it may be noise"]
    other = COLOURED if kind == GREY else GREY
    if f"{kind}contrast" not in trained and f"{other}contrast" in trained:
        return [f"it is {kind[:-1]}, and the model was trained on {other[:-1]} pictures only"]
    said = []
    for name, (less, more) in SAID.items():
        if kind + name not in trained or kind + name not in found:
            continue
        low, high = trained[kind + name]
        slack = max(MARGIN * (high - low), LEAST_MARGIN)
        if not low - slack <= found[kind + name] <= high + slack:
            said.append(less if found[kind + name] < low else more)
    return [f"it is {' and '.join(said)} than any such picture that the model was trained on"] if said else []


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
        f"its objects look {diameter:.0f} pixels wide, and those of training pictures were typically "
        f"{low / factor:.0f} to {high / factor:.0f} at this scale: measure one, and give that as the diameter"
    ]
