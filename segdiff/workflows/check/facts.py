"""The facts of one image and its truth, and of many."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.annotations import is_annotation
from segdiff.data.annotations.aperio import is_aperio
from segdiff.data.datasets.base import Dataset, Sample
from segdiff.data.images import read_image, read_stored
from segdiff.data.masks import foreground, instances, read_mask
from segdiff.data.objects import median_diameter, object_areas
from segdiff.errors import UserError
from segdiff.metrics.raters import set_diversity
from segdiff.workflows.check.duplicates import Signature, signature


@dataclass(frozen=True)
class StoredFacts:
    """What the files themselves say; None where a data set has no file for each image.

    Attributes:
        channels, type, suffix: of the image.
        mask_values: the distinct values of the mask, at most `MANY` of them; empty if it is no picture.
        mask_is_image: the mask holds the very pixels of the image.
    """

    channels: int | None = None
    type: str | None = None
    suffix: str | None = None
    mask_values: tuple[float, ...] = ()
    mask_is_image: bool = False


@dataclass(frozen=True)
class Facts:
    """What is to be said of a sample.

    Attributes:
        name: of the sample.
        size: (height, width).
        foreground: share of object, of all raters together.
        border: share of object among the outermost pixels.
        enclosed: share of the background that is not connected with the border.
        areas: pixels of each object.
        told_apart: whether the truth numbers its objects.
        signature: to find duplicates; None where they are not looked for.
        mask_hash: of the truth; None where it is empty or full.
        stored: of the files.
        notes: on how they were read.
        raters: how many masks it has.
        agreement: mean IoU between two raters' masks, two empty ones being alike; None of a single rater.
        marked_nothing: how many raters have an empty mask.
    """

    name: str
    size: tuple[int, int]
    foreground: float
    border: float
    enclosed: float
    areas: NDArray[np.int64]
    told_apart: bool
    signature: Signature | None
    mask_hash: str | None
    stored: StoredFacts = field(default_factory=StoredFacts)
    notes: tuple[str, ...] = ()
    raters: int = 1
    agreement: float | None = None
    marked_nothing: int = 0

    @property
    def looks_inverted(self) -> bool:
        """Background and object may be exchanged: most of the picture is object, nearly all of its border too, what is
        background lies in islands, as objects do, and nothing numbers the objects."""
        return 0.5 < self.foreground < 1 and self.border > 0.75 and self.enclosed > 0.5 and not self.told_apart


MANY = 16


def facts_of(sample: Sample, stored: StoredFacts | None = None, recognise: bool = True) -> Facts:
    """Of a sample in memory. `recognise`: also what finds duplicates."""
    truth = np.asarray(sample.mask.any(axis=(0, 1)))
    found = facts_of_truth(sample.name, truth, object_areas(sample), sample.instances is not None)
    masks = np.asarray(sample.mask.any(axis=1))
    several = len(masks) > 1
    tells = recognise and 0 < found.foreground < 1
    return replace(
        found,
        signature=signature(sample.image) if recognise else None,
        mask_hash=hashlib.sha256(np.packbits(truth).tobytes()).hexdigest() if tells else None,
        stored=stored or StoredFacts(),
        notes=sample.notes,
        raters=len(masks),
        agreement=1 - set_diversity(masks) if several else None,
        marked_nothing=int((~masks.any(axis=(1, 2))).sum()),
    )


def facts_of_truth(name: str, truth: NDArray[np.bool_], areas: NDArray[np.int64], told_apart: bool) -> Facts:
    """Of a truth alone, bool (H, W)."""
    border = np.concatenate([truth[0], truth[-1], truth[:, 0], truth[:, -1]])
    height, width = truth.shape
    return Facts(
        name=name,
        size=(height, width),
        foreground=float(truth.mean()),
        border=float(border.mean()),
        enclosed=_enclosed(truth),
        areas=areas,
        told_apart=told_apart,
        signature=None,
        mask_hash=None,
    )


def facts_of_mask(name: str, mask: NDArray[Any], notes: Sequence[str] = ()) -> Facts:
    """Of what `segdiff.data.masks.read_mask` gave."""
    from skimage.measure import label

    numbers = instances(mask)
    parts = label(foreground(mask), connectivity=2) if numbers is None else numbers
    areas = np.bincount(parts.ravel())[1:]
    found = facts_of_truth(name, foreground(mask) > 0, areas[areas > 0], numbers is not None)
    return replace(found, notes=tuple(notes))


def _enclosed(truth: NDArray[np.bool_]) -> float:
    """Share of the background that is not connected with the border; 0 where there is none."""
    from scipy import ndimage

    if truth.all():
        return 0.0
    islands = ndimage.binary_fill_holes(truth) & ~truth
    return float(islands.sum() / (~truth).sum())


def stored_facts(dataset: Dataset, index: int) -> StoredFacts:
    """Of the files of a sample.

    Raises:
        DataError, MissingError: a file that cannot be read.
    """
    image_path, truth_path = dataset.files(index)
    if image_path is None:
        return StoredFacts()
    image = read_image(image_path)
    values: tuple[float, ...] = ()
    if truth_path is not None and not _is_outlines(truth_path) and dataset.raters == 1:
        values = tuple(float(v) for v in np.unique(read_mask(truth_path))[:MANY])
    return StoredFacts(
        channels=1 if image.ndim == 2 else image.shape[2],
        type=str(image.dtype),
        suffix=image_path.suffix.lower(),
        mask_values=values,
        mask_is_image=mask_is_image(dataset, index),
    )


def mask_is_image(dataset: Dataset, index: int) -> bool:
    """Whether the mask of a sample holds the very pixels of its image; False where one cannot be read."""
    image, truth = dataset.files(index)
    if image is None or truth is None or _is_outlines(truth):
        return False
    try:
        return np.array_equal(read_stored(image).values, read_stored(truth).values)
    except UserError:
        return False


def _is_outlines(path: Path) -> bool:
    return is_annotation(path) or is_aperio(path)


def summary(facts: Sequence[Facts], mpp: float | None = None) -> dict[str, Any]:
    """Numbers of several samples, in plain values.

    Returns:
        "images"; "sizes" ("least", "median", "largest" as [height, width], and how many "different"); "foreground"
        and, over all objects, "objects": their "count", "median_diameter_px", and in micrometres if `mpp` is known;
        "channels", "types", "formats" with their counts, where there are files; "raters" where images have several: the
        "least" and "largest" number of them, their "agreement" (mean IoU between two, its mean over images), and in how
        many images "some_marked_nothing".
    """
    if not facts:
        return {"images": 0}
    agreements = [f.agreement for f in facts if f.agreement is not None]
    sizes = sorted((f.size for f in facts), key=lambda size: (size[0] * size[1], size))
    shares = [f.foreground for f in facts]
    areas = np.concatenate([f.areas for f in facts])
    diameter = median_diameter(areas)
    told: dict[str, Any] = {
        "images": len(facts),
        "sizes": {
            "least": list(sizes[0]),
            "median": list(sizes[len(sizes) // 2]),
            "largest": list(sizes[-1]),
            "different": len(set(sizes)),
        },
        "foreground": {
            "least": round(min(shares), 4),
            "median": round(float(np.median(shares)), 4),
            "largest": round(max(shares), 4),
        },
        "objects": {
            "count": int(areas.size),
            "median_diameter_px": None if diameter is None else round(diameter, 1),
            "median_diameter_um": None if diameter is None or mpp is None else round(diameter * mpp, 2),
        },
    }
    if agreements:
        told["raters"] = {
            "least": min(f.raters for f in facts),
            "largest": max(f.raters for f in facts),
            "agreement": round(float(np.mean(agreements)), 4),
            "some_marked_nothing": sum(0 < f.marked_nothing < f.raters for f in facts),
        }
    for key, values in (
        ("channels", [f.stored.channels for f in facts]),
        ("types", [f.stored.type for f in facts]),
        ("formats", [f.stored.suffix for f in facts]),
    ):
        counted = Counter(str(value) for value in values if value is not None)
        if counted:
            told[key] = dict(sorted(counted.items()))
    return told


def describe_summary(told: dict[str, Any]) -> str:
    """One line of `summary` for people."""
    if not told["images"]:
        return "no image"
    sizes, shares, objects = told["sizes"], told["foreground"], told["objects"]
    size = " x ".join(map(str, sizes["median"]))
    if sizes["different"] > 1:
        size = (
            f"{' x '.join(map(str, sizes['least']))} to {' x '.join(map(str, sizes['largest']))}, mostly about {size}"
        )
    diameter = ""
    if objects["median_diameter_px"] is not None:
        diameter = f" of {objects['median_diameter_px']:g} px median diameter"
        if objects["median_diameter_um"] is not None:
            diameter += f" ({objects['median_diameter_um']:g} um)"
    return (
        f"{told['images']} image(s) of {size}; object {shares['median']:.1%} "
        f"({shares['least']:.1%} to {shares['largest']:.1%}); {objects['count']:,} objects{diameter}"
        f"{_of_raters(told['raters']) if 'raters' in told else ''}"
    )


def _of_raters(told: dict[str, Any]) -> str:
    """The same of raters."""
    number = str(told["largest"]) if told["least"] == told["largest"] else f"{told['least']} to {told['largest']}"
    nothing = told["some_marked_nothing"]
    differ = f"; in {nothing} image(s) some marked nothing and others did not" if nothing else ""
    return f"; {number} raters, whose masks agree by an IoU of {told['agreement']:.3f}{differ}"
