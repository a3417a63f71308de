"""Single objects of Cityscapes as the published SegDiff reads them: each is a crop with a binary mask.

    root/train/all_classes_instances.json          the training objects
    root/train_val/all_classes_instances.json      validation: what PolygonRNN++ held out of the training pictures
    root/val/all_classes_instances.json            what published tables are about: the split "test" here, so that
                                                   these pictures never choose anything
    root/all_images.hdf5                           arrays by file name, or the pictures themselves:
    root/train/aachen/aachen_000000_000019_leftImg8bit.png   (or under root/leftImg8bit/)

A JSON file holds {"data": {class: [object, ...]}}, an object {"segmentation": polygons [x, y, x, y, ...] or a
run-length code, "bbox": [x, y, width, height], "img": {"file_name", "height", "width"}}. Polygons are filled by
pycocotools, as published. One class makes one data set. Source: the published code, with the splits of PolygonRNN++
(Acuna et al. 2018) as the ACDRNet scripts prepare them; a further file with train and train_val in one is not read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from segdiff.data.annotations.coco import decode, is_polygon
from segdiff.data.annotations.rasterise import whole
from segdiff.data.datasets.base import Dataset, Sample
from segdiff.data.hdf5 import find_array, open_hdf5, read_array
from segdiff.data.images import read_image, to_rgb
from segdiff.data.random_words import BOX, random_words
from segdiff.data.splits import check_split, of_fold
from segdiff.data.value_range import value_scale
from segdiff.errors import ConfigError, DataError, MissingError

CLASSES = ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")
ALIASES = {"bike": "bicycle"}
TRAINED, HELD_OUT, PUBLISHED = "train", "train_val", "val"  # folders
PARTS = {"train": (TRAINED,), "val": (HELD_OUT,), "test": (PUBLISHED,), "all": (TRAINED, HELD_OUT)}
OBJECTS, IMAGES = "all_classes_instances.json", "all_images.hdf5"
TRAIN_PERCENT, OTHER_PERCENT = (10, 20), 15  # by which an expanded box grows


@dataclass(frozen=True)
class Instance:
    """An object in a picture.

    Attributes:
        picture: file name, as in the JSON file.
        number: of the object in its file.
        height, width: of the picture.
        shape: polygons, or a run-length code.
        box: (top, bottom, left, right) in pixels, the ends not within; as in the file until it is `cropped`.
    """

    picture: str
    number: int
    height: int
    width: int
    shape: Any
    box: tuple[int, int, int, int]

    @property
    def name(self) -> str:
        return f"{Path(self.picture).stem}_{self.number}"

    @property
    def crop(self) -> tuple[slice, slice]:
        top, bottom, left, right = self.box
        return slice(top, bottom), slice(left, right)

    def cropped(self, percent: int) -> Instance:
        """With a box that is longer by `percent` % each way and lies within the picture."""
        top, bottom, left, right = self.box
        rows, columns = _grown(top, bottom, percent, self.height), _grown(left, right, percent, self.width)
        return replace(self, box=(*rows, *columns))


class Cityscapes(Dataset):
    """A split of the objects of one class.

    Args:
        root: the folder; the module's text shows its layout.
        split: "train", "val" (PolygonRNN++'s train_val), "test" (the official val) or "all" (train + val).
        class_name: one of `CLASSES`; "bike" is bicycle.
        fold: None, or 0..4 to do without train_val: "val" then has the objects of the training pictures whose rank
            by file name is `fold` modulo 5, "train" those of the others. No picture is in both.
        expansion: False crops to the object's box; True grows each side's length by p %, half at either end: p is drawn
            once for each training object from 10, 11, ..., 20, and is 15 for those of "val" and "test".
        seed: of these draws.
    Raises:
        ConfigError: an option that cannot be.
        MissingError: the JSON file that this split needs is not there. DataError: it is not such a file.
    """

    kind = "cityscapes"

    def __init__(
        self,
        root: str | Path,
        split: str,
        *,
        class_name: str = "train",
        fold: int | None = None,
        expansion: bool = False,
        seed: int = 0,
    ) -> None:
        check_split(split)
        name = ALIASES.get(class_name, class_name)
        if name not in CLASSES:
            raise ConfigError(f"class_name is {class_name!r}; Cityscapes has {', '.join(CLASSES)}")
        if not isinstance(expansion, bool):
            raise ConfigError(f"expansion is {expansion!r}; choose true or false")
        if seed < 0:
            raise ConfigError(f"the data set's seed is {seed}; it must be 0 or more")
        self.root = Path(root)
        parts = PARTS[split] if fold is None or split == "test" else (TRAINED,)
        objects = {part: _objects(self.root / part / OBJECTS, name) for part in parts}
        found = [instance for part in parts for instance in objects[part]]
        if not found:
            raise DataError(f"{self.root} has no {name} in the split {split!r}")
        trained = {instance.picture for instance in objects.get(TRAINED, [])}
        if fold is not None:
            pictures = sorted({instance.picture for instance in found})
            wanted = set(of_fold(pictures, split, fold))
            trained = set() if split == "test" else set(of_fold(pictures, "train", fold))
            found = [instance for instance in found if instance.picture in wanted]
        self.instances = [instance.cropped(_percent(instance, trained, seed) if expansion else 0) for instance in found]
        super().__init__(split, [instance.name for instance in self.instances], None)

    def read(self, index: int) -> Sample:
        instance = self.instances[index]
        mask = _filled(instance)[instance.crop].copy()  # a view would keep the whole picture in memory
        return Sample(instance.name, self._image(instance), mask[None, None])

    def _image(self, instance: Instance) -> np.ndarray:
        stored = self.root / IMAGES
        if not stored.is_file():
            picture = read_image(self._picture_file(instance.picture))
            _check_size(instance, picture)
            return to_rgb(picture[instance.crop].copy(), value_scale(picture))
        with open_hdf5(stored) as file:
            array = find_array(file, instance.picture, stored)
            _check_size(instance, array)
            return to_rgb(read_array(array, stored, instance.crop), value_scale(array))

    def _picture_file(self, name: str) -> Path:
        places = [self.root / name, self.root / "leftImg8bit" / name]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise MissingError(f"no picture {name} in {self.root}: neither {IMAGES} nor the file is there")
        return found


def _check_size(instance: Instance, picture: Any) -> None:
    if picture.shape[:2] != (instance.height, instance.width):
        size = " x ".join(str(length) for length in picture.shape[:2])
        raise DataError(f"{instance.picture} is {size}, its objects say {instance.height} x {instance.width}")


def _objects(path: Path, class_name: str) -> list[Instance]:
    """The objects of a class in a JSON file, not cropped yet."""
    if not path.is_file():
        instead = "; fold=0 takes a fifth of the training pictures instead" if path.parent.name == HELD_OUT else ""
        raise MissingError(f"no such file: {path}{instead}")
    spellings = [class_name, *(alias for alias, name in ALIASES.items() if name == class_name)]
    try:
        data = json.loads(path.read_text(encoding="utf-8"))["data"]
        found: Any = next((data[key] for key in spellings if key in data), [])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} does not hold objects by class under 'data'") from error
    if not isinstance(data, dict) or not isinstance(found, list):
        raise DataError(f"{path} does not hold a list of objects for each class under 'data'")
    return [_instance(number, content, path) for number, content in enumerate(found)]


def _instance(number: int, content: Any, path: Path) -> Instance:
    try:
        picture = str(content["img"]["file_name"])
        height, width = (int(content["img"][key]) for key in ("height", "width"))
        x, y, across, down = (max(0, int(value)) for value in content["bbox"])
        shape = content["segmentation"]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: object {number} lacks segmentation, bbox or img as they should be") from error
    if not (y < min(y + down, height) and x < min(x + across, width)):
        raise DataError(f"{path}: the box of object {number} holds no pixel of its picture")
    return Instance(picture, number, height, width, shape, (y, y + down, x, x + across))


def _grown(start: int, end: int, percent: int, length: int) -> tuple[int, int]:
    """A side of a box, longer by `percent` %, within the picture; rounded half to even, as published."""
    more = (end - start) * (percent / 100) / 2
    return round(max(start - more, 0)), round(min(end + more, length))


def _percent(instance: Instance, trained: set[str], seed: int) -> int:
    """By how much a box grows; of a training object a pure function of its number and the seed."""
    if instance.picture not in trained:
        return OTHER_PERCENT
    low, high = TRAIN_PERCENT
    (word,) = random_words(seed, BOX, instance.number, 1)
    return low + int(word) % (high - low + 1)


def _filled(instance: Instance) -> np.ndarray:
    """uint8 (H, W) of 0 and 1 of the whole picture; polygons are filled by pycocotools, as published."""
    from pycocotools import mask as coco

    shape, size = instance.shape, (instance.height, instance.width)
    if isinstance(shape, Mapping):
        return whole(decode(shape, size, instance.name), *size).astype(np.uint8)
    if not isinstance(shape, list):
        raise DataError(f"{instance.name}: its segmentation is neither polygons nor a run-length code")
    if not shape or not all(is_polygon(polygon) for polygon in shape):
        raise DataError(f"{instance.name}: its polygons are not lists of x, y, x, y, ... of three points or more")
    try:
        polygons = [[float(value) for value in polygon] for polygon in shape]
        mask: np.ndarray = coco.decode(coco.merge(coco.frPyObjects(polygons, *size)))
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{instance.name}: its segmentation cannot be read ({error})") from error
    return mask
