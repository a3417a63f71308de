"""MoNuSeg 2018: stained tissue, 1000 x 1000 pixels at 0.25 micrometres, outlines of nuclei.

Two layouts are read, by what the root holds:

- the challenge's own: `MoNuSeg 2018 Training Data/{Tissue Images,Annotations}` and `MoNuSegTestData/` with
  `.tif` and `.xml` side by side (`.xml.gz` too), polygons rasterised here;
- the published SegDiff repository's: `Training/{img,mask}` and `Test/{img,mask}`, any mask value above 0 a
  nucleus.

The root may also be one of these folders itself. Validation is one of five folds of the training images.
Source: Kumar et al. 2020, IEEE TMI 39(5), https://monuseg.grand-challenge.org.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segdiff.data.annotations.aperio import is_aperio, parse_aperio
from segdiff.data.annotations.rasterise import RASTERISER_VERSION, rasterise
from segdiff.data.cache import cached, default_cache_dir
from segdiff.data.datasets.base import Dataset, Sample
from segdiff.data.datasets.pairs import match_pairs
from segdiff.data.images import images_in, read_image, read_size, to_rgb
from segdiff.data.masks import foreground, read_mask
from segdiff.data.splits import check_split, of_fold
from segdiff.errors import MissingError

MPP, SIDE = 0.25, 1000  # micrometres per pixel, pixels
TRAINING, TEST = "MoNuSeg 2018 Training Data", "MoNuSegTestData"
PUBLISHED = {"train": "Training", "test": "Test"}


@dataclass(frozen=True)
class Item:
    """An image and the file of its truth."""

    name: str
    image: Path
    truth: Path


class Monuseg(Dataset):
    """A split of MoNuSeg.

    Args:
        root: the folder that holds the official folders, or one of them.
        split: "train", "val", "test" or "all" (train + val).
        fold: 0..4, the fold that is "val": the images whose rank by name is `fold` modulo 5; None: no image is.
        cache_dir: folder for the rasterised masks; None: `$SEGDIFF_CACHE`, else the user's cache folder.
        lenient: go on without files that have no partner (`unmatched` has them).
    Raises:
        MissingError: the folder that this split needs is not there.
        DataError: an image without its annotation, or an annotation without its image.
    """

    kind = "monuseg"

    def __init__(
        self,
        root: str | Path,
        split: str,
        *,
        fold: int | None = 0,
        cache_dir: str | Path | None = None,
        lenient: bool = False,
    ) -> None:
        check_split(split)
        unmatched: list[Path] | None = [] if lenient else None
        found = find_items(Path(root), "test" if split == "test" else "train", unmatched)
        items = {item.name: item for item in found}
        self.items = [items[name] for name in of_fold(list(items), split, fold)]
        super().__init__(split, [item.name for item in self.items], MPP)
        self.unmatched = unmatched or []
        self.cache_dir = Path(cache_dir).expanduser() if cache_dir is not None else default_cache_dir()

    def read(self, index: int) -> Sample:
        item = self.items[index]
        notes: list[str] = []
        image = to_rgb(read_image(item.image, notes=notes))
        if is_aperio(item.truth):
            labels, _ = self.labels(item, *image.shape[:2])
            return Sample(item.name, image, (labels > 0).astype(np.uint8)[None, None], labels, tuple(notes))
        mask = foreground(read_mask(item.truth, notes))
        return Sample(item.name, image, mask[None, None], notes=tuple(notes))

    def labels(self, item: Item, height: int, width: int) -> tuple[np.ndarray, dict[str, int]]:
        """The rasterised outlines of an item and the report of `rasterise`, from the cache if there."""
        if not item.truth.is_file():
            raise MissingError(f"no such annotation: {item.truth}")
        content = item.truth.read_bytes()

        def make() -> dict[str, np.ndarray]:
            labels, report = rasterise(parse_aperio(content, item.truth), height, width)
            return {"labels": labels, "report": np.array(json.dumps(report))}

        digest = hashlib.sha256(content).hexdigest()[:32]
        arrays = cached(self.cache_dir, f"{digest}-{height}x{width}-v{RASTERISER_VERSION}", make)
        return arrays["labels"], json.loads(str(arrays["report"]))

    def files(self, index: int) -> tuple[Path | None, Path | None]:
        item = self.items[index]
        return item.image, item.truth

    @property
    def report(self) -> dict[str, Any]:
        """Adds the counts of `rasterise`, summed over the images; rasterises what is not in the cache yet."""
        counts: Counter[str] = Counter()
        for item in self.items:
            if is_aperio(item.truth):
                height, width = read_size(item.image) or read_image(item.image).shape[:2]
                counts.update(self.labels(item, height, width)[1])
        return {**super().report, **counts}


def find_items(root: Path, part: str, unmatched: list[Path] | None = None) -> list[Item]:
    """The items of part "train" (all training images) or "test", sorted by name.

    Raises:
        MissingError: neither layout of that part is under `root`.
        DataError: images and truths do not go together.
    """
    if not root.is_dir():
        raise MissingError(f"dataset.root {root} is not a folder")
    for images, truths in _official(root, part):
        if images.is_dir() and truths.is_dir():
            return _items(match_pairs(images_in(images), _annotations_in(truths), unmatched))
    for folder in (root / PUBLISHED[part], *([root] if root.name == PUBLISHED[part] else [])):
        if (folder / "img").is_dir() and (folder / "mask").is_dir():
            return _items(match_pairs(images_in(folder / "img"), images_in(folder / "mask"), unmatched))
    official = f"'{TRAINING}/Tissue Images' and '.../Annotations'" if part == "train" else f"'{TEST}'"
    raise MissingError(
        f"{root} has no {'training' if part == 'train' else 'test'} images: it must hold {official}, "
        f"or '{PUBLISHED[part]}/img' and '{PUBLISHED[part]}/mask'"
    )


def _official(root: Path, part: str) -> list[tuple[Path, Path]]:
    """Where the challenge's layout may have its images and annotations."""
    if part == "train":
        return [(folder / "Tissue Images", folder / "Annotations") for folder in (root / TRAINING, root)]
    holds_both = bool(_annotations_in(root)) and bool(images_in(root))
    return [(folder, folder) for folder in (root / TEST, *([root] if holds_both else []))]


def _annotations_in(folder: Path) -> list[Path]:
    """The outlines of a folder; where X.xml and X.xml.gz both lie there, the unpacked one."""
    if not folder.is_dir():
        return []
    files = [path for path in folder.iterdir() if is_aperio(path) and not path.name.startswith(".")]
    unpacked = {path.name for path in files if path.suffix.lower() == ".xml"}
    return sorted(path for path in files if path.name in unpacked or path.stem not in unpacked)


def _items(pairs: Sequence[tuple[str, Path, Path]]) -> list[Item]:
    return [Item(name, image, truth) for name, image, truth in pairs]
