"""Single objects of Cityscapes as the published SegDiff reads them: each is a crop with a binary mask.

    root/train/all_classes_instances.json          the training objects
    root/train_val/all_classes_instances.json      validation: what PolygonRNN++ held out of the training pictures
    root/val/all_classes_instances.json            what published tables are about: the split "test" here
    root/all_images.hdf5                           arrays by file name, or the pictures themselves:
    root/train/aachen/aachen_000000_000019_leftImg8bit.png   (or under root/leftImg8bit/)

A JSON file holds {"data": {class: [object, ...]}}, an object {"segmentation": polygons [x, y, x, y, ...] or a
run-length code, "bbox": [x, y, width, height], "img": {"file_name", "height", "width"}}. Polygons are filled by
pycocotools, as published. One class makes one data set. Source: the published code, with the splits of PolygonRNN++
(Acuna et al. 2018) as the ACDRNet scripts prepare them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segdiff.data.datasets.base import Dataset, Sample
from segdiff.data.hdf5 import open_hdf5, read_array
from segdiff.data.images import read_image, to_rgb
from segdiff.data.splits import check_split
from segdiff.errors import ConfigError, DataError, MissingError

CLASSES = ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")
ALIASES = {"bike": "bicycle"}
PARTS = {"train": ("train",), "val": ("train_val",), "test": ("val",), "all": ("train", "train_val")}
OBJECTS, IMAGES = "all_classes_instances.json", "all_images.hdf5"
TRAIN_PERCENT, OTHER_PERCENT = (10, 20), 15  # by which an expanded box grows


@dataclass(frozen=True)
class Instance:
    """An object in a picture.

    Attributes:
        name: of the picture, and the object's number in its file.
        picture: file name, as in the JSON file.
        height, width: of the picture.
        shape: polygons, or a run-length code.
        box: (top, bottom, left, right) of the crop, within the picture.
    """

    name: str
    picture: str
    height: int
    width: int
    shape: Any
    box: tuple[int, int, int, int]


class Cityscapes(Dataset):
    """A split of the objects of one class.

    Args:
        root: the folder; the module's text shows its layout.
        split: "train", "val" (PolygonRNN++'s train_val), "test" (the official val) or "all" (train + val).
        class_name: one of `CLASSES`; "bike" is bicycle.
        expansion: False crops to the object's box; True grows each side's length by p %, half at either end: p is drawn
            once for each training object from 10, 11, ..., 20, and is 15 for all others.
        seed: of these draws.
    Raises:
        ConfigError: a class that is not known.
        MissingError: the JSON file that this split needs is not there. DataError: it is not such a file.
    """

    kind = "cityscapes"

    def __init__(
        self, root: str | Path, split: str, *, class_name: str = "train", expansion: bool = False, seed: int = 0
    ) -> None:
        check_split(split)
        name = ALIASES.get(class_name, class_name)
        if name not in CLASSES:
            raise ConfigError(f"class_name is {class_name!r}; Cityscapes has {', '.join(CLASSES)}")
        self.root = Path(root)
        self.instances = [
            _instance(part, number, content, path, expansion, seed)
            for part in PARTS[split]
            for path in [self.root / part / OBJECTS]
            for number, content in enumerate(_objects(path, name))
        ]
        if not self.instances:
            raise DataError(f"{self.root} has no {name} in the split {split!r}")
        super().__init__(split, [instance.name for instance in self.instances], None)

    def read(self, index: int) -> Sample:
        instance = self.instances[index]
        top, bottom, left, right = instance.box
        picture = self._picture(instance)
        mask = _filled(instance)
        crop = (slice(top, bottom), slice(left, right))
        return Sample(instance.name, to_rgb(picture)[crop], mask[crop][None, None])

    def _picture(self, instance: Instance) -> np.ndarray:
        stored = self.root / IMAGES
        if stored.is_file():
            with open_hdf5(stored) as file:
                picture = read_array(file, instance.picture, stored)
        else:
            picture = read_image(self._picture_file(instance.picture))
        if picture.shape[:2] != (instance.height, instance.width):
            size = f"{picture.shape[0]} x {picture.shape[1]}"
            raise DataError(f"{instance.picture} is {size}, its objects say {instance.height} x {instance.width}")
        return picture

    def _picture_file(self, name: str) -> Path:
        places = [self.root / name, self.root / "leftImg8bit" / name]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise MissingError(f"no picture {name} in {self.root}: neither {IMAGES} nor the file is there")
        return found


def _objects(path: Path, class_name: str) -> list[Any]:
    """The objects of a class in a JSON file."""
    if not path.is_file():
        raise MissingError(f"no such file: {path}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = content["data"].get(class_name, [])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} does not hold objects by class under 'data'") from error
    if not isinstance(found, list):
        raise DataError(f"{path}: {class_name} is not a list of objects")
    return found


def _instance(part: str, number: int, content: Any, path: Path, expansion: bool, seed: int) -> Instance:
    try:
        picture = str(content["img"]["file_name"])
        height, width = (int(content["img"][key]) for key in ("height", "width"))
        x, y, across, down = (max(0, int(value)) for value in content["bbox"])
        shape = content["segmentation"]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: object {number} lacks segmentation, bbox or img as they should be") from error
    rows, columns = (y, y + down), (x, x + across)
    if expansion:
        percent = _percent(number, seed) if part == "train" else OTHER_PERCENT
        rows, columns = _grown(*rows, percent, height), _grown(*columns, percent, width)
    box = rows[0], min(rows[1], height), columns[0], min(columns[1], width)
    if box[0] >= box[1] or box[2] >= box[3]:
        raise DataError(f"{path}: the box of object {number} holds no pixel of its picture")
    return Instance(f"{Path(picture).stem}_{number}", picture, height, width, shape, box)


def _grown(start: int, end: int, percent: int, length: int) -> tuple[int, int]:
    """A side of a box, longer by `percent` %, within the picture; rounded half to even, as published."""
    more = (end - start) * (percent / 100) / 2
    return round(max(start - more, 0)), round(min(end + more, length))


def _percent(number: int, seed: int) -> int:
    """By how much the box of a training object grows: a pure function of its number and the seed."""
    low, high = TRAIN_PERCENT
    word = np.random.Philox(key=seed, counter=np.array([0, 0, number, 3], np.uint64)).random_raw()
    return low + int(word) % (high - low + 1)


def _filled(instance: Instance) -> np.ndarray:
    """uint8 (H, W) of 0 and 1 of the whole picture."""
    from pycocotools import mask as coco

    shape, size = instance.shape, (instance.height, instance.width)
    try:
        if isinstance(shape, list):
            if not shape or not all(_is_polygon(polygon) for polygon in shape):
                raise DataError(
                    f"{instance.name}: its polygons are not lists of x, y, x, y, ... of three points or more"
                )
            code = coco.merge(coco.frPyObjects([[float(v) for v in polygon] for polygon in shape], *size))
        elif isinstance(shape, Mapping) and isinstance(shape.get("counts"), list):
            if min(shape["counts"], default=0) < 0 or sum(shape["counts"]) != size[0] * size[1]:
                raise DataError(f"{instance.name}: its run lengths do not add up to {size[0]} x {size[1]} pixels")
            code = coco.frPyObjects({"counts": shape["counts"], "size": list(size)}, *size)
        elif isinstance(shape, Mapping) and isinstance(shape.get("counts"), str):
            code = {"counts": shape["counts"].encode(), "size": list(shape.get("size", size))}
        else:
            raise DataError(f"{instance.name}: its segmentation is neither polygons nor a run-length code")
        mask = coco.decode(code)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{instance.name}: its segmentation cannot be read ({error})") from error
    if mask.shape != size:
        raise DataError(f"{instance.name}: its run-length code is of {mask.shape[0]} x {mask.shape[1]} pixels")
    return mask


def _is_polygon(points: Any) -> bool:
    return (
        isinstance(points, list)
        and len(points) >= 6
        and len(points) % 2 == 0
        and all(isinstance(value, (int, float)) and math.isfinite(value) for value in points)
    )
