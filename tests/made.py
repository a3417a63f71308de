"""Small data sets of the published layouts, made up."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from segdiff.data.writers import write_mask


def blob(seed: int, size: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """A picture uint8 (size, size, 3) with a bright rectangle, and its mask of 0 and 1."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 100, (size, size, 3), dtype=np.uint8)
    top, left = rng.integers(0, size // 2, 2)
    mask = np.zeros((size, size), np.uint8)
    mask[top : top + size // 3, left : left + size // 4] = 1
    image[mask > 0] += 120
    return image, mask


def make_vaihingen(root: Path, train: int = 12, test: int = 3, size: int = 256) -> None:
    """Two files with crops building_1, building_2, ..."""
    root.mkdir(parents=True, exist_ok=True)
    for file_name, numbers in (("training", range(1, train + 1)), ("test", range(train + 1, train + test + 1))):
        with h5py.File(root / f"full_{file_name}_vaih.hdf5", "w") as file:
            for number in numbers:
                image, mask = blob(number, size)
                file[f"imgs/building_{number}"] = image
                file[f"mask_single/building_mask_{number}"] = mask


SIZE = (60, 80)  # of the pictures


def polygon(left: float, top: float, right: float, bottom: float) -> list[float]:
    return [left, top, right, top, right, bottom, left, bottom]


def objects(folder: str, city: str, pictures: int = 2) -> list[dict]:
    """Two objects a picture: polygons in two parts, and an uncompressed run-length code."""
    found = []
    for number in range(pictures):
        img = {"file_name": f"{folder}/{city}/{city}_{number}.png", "height": SIZE[0], "width": SIZE[1]}
        parts = [polygon(10, 5, 30, 25), polygon(10, 30, 30, 40)]
        found.append({"img": img, "segmentation": parts, "bbox": [10, 5, 20, 35]})
        mask = np.zeros(SIZE, np.uint8)
        mask[20:50, 40:70] = 1
        # Runs down the columns, beginning with background.
        flat = np.flatnonzero(np.diff(np.pad(mask.T.ravel(), 1, constant_values=2)))
        counts = np.diff([0, *flat[flat > 0]]).tolist()
        code = {"counts": counts, "size": list(SIZE)}
        found.append({"img": img, "segmentation": code, "bbox": [40.7, 20.2, 30.0, 30.0]})
    return found


def make_cityscapes(root: Path, hdf5: bool = False) -> None:
    """The parts train, train_val and val, each with four objects of the class train and one car."""
    pictures = {}
    for part, (folder, city) in {"train": ("train", "a"), "train_val": ("train", "b"), "val": ("val", "c")}.items():
        found = objects(folder, city)
        content = {"classes_names": ["car", "train"], "data": {"train": found, "car": found[:1]}}
        (root / part).mkdir(parents=True)
        (root / part / "all_classes_instances.json").write_text(json.dumps(content))
        for number, instance in enumerate(found):
            name = instance["img"]["file_name"]
            picture = np.random.default_rng(number // 2).integers(0, 100, (*SIZE, 3), dtype=np.uint8)
            picture[5:25, 10:30] = picture[30:40, 10:30] = picture[20:50, 40:70] = 220
            pictures[name] = picture
    if hdf5:
        with h5py.File(root / "all_images.hdf5", "w") as file:
            for name, picture in pictures.items():
                file[name] = picture
        return
    for name, picture in pictures.items():
        path = root / "leftImg8bit" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)


def discs(root: Path) -> Path:
    """Bright discs on a dark textured ground as a folder data set: four images to train, two to validate."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:32, :40]
    for split, count in (("train", 4), ("val", 2)):
        for folder in ("images", "masks"):
            (root / split / folder).mkdir(parents=True)
        for i in range(count):
            y, x = rng.integers(8, 24, 2)
            mask = (rows - y) ** 2 + (columns - x) ** 2 < 49
            image = (60 + 120 * mask[..., None] + rng.normal(0, 12, (32, 40, 3))).clip(0, 255).astype(np.uint8)
            Image.fromarray(image).save(root / split / "images" / f"{i}.png")
            write_mask(root / split / "masks" / f"{i}.png", mask)
    return root
