"""Make one folder of training data for nuclei from those of NuInsSeg and of the Data Science Bowl 2018.

    python tools/prepare_nuclei.py --organs nuinsseg --stained dsb2018_he --mixed dsb2018_256/train --out nuclei_data

Each folder has images/ and masks/ (instance numbers, 0 the background) of the same stems; its index.csv (there, or one
above) has the columns stem or name, group, and look but for --organs, whose groups are organs. Of --mixed only what is
not stained tissue is taken: fluorescence and brightfield. Any may be left out, and --looks takes pictures of these
looks only. Pictures of the Data Science Bowl whose nuclei are not 16 to 30 pixels wide (median) are resized until they
are; those of organs stay as they are, at 40x. Looks and organs that hold few pictures are repeated in training, so that
the largest do not crowd them out.

The folder that is written has images/, masks/ and index.csv (stem, group, look, repeat), as dataset=folder reads it.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from segdiff.cli.main import guarded
from segdiff.data.images import images_in, read_image, to_rgb
from segdiff.data.masks import read_mask
from segdiff.data.objects import median_diameter
from segdiff.data.resize import resize_image, resize_truth
from segdiff.data.writers import atomic, write_csv
from segdiff.errors import ConfigError, DataError, MissingError

UNSTAINED = ("fluorescence", "brightfield")
SMALLEST, LARGEST = 16, 30  # median diameter of the nuclei of a picture, in pixels
COMMON, OFTEN = 30, 8  # a group of fewer stained pictures than COMMON is shown OFTEN times
OF_LOOK = {"fluorescence": 2, "brightfield": 4}  # beside hundreds of pictures of organs
FEW_OF_ORGAN, MORE = 15, 3  # an organ of fewer pictures is shown so often
ORGAN = "organ"  # the look of all pictures of --organs


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--organs", type=Path, help="folder of stained tissue by organ (NuInsSeg)")
    parser.add_argument("--stained", type=Path, help="folder of stained tissue")
    parser.add_argument("--mixed", type=Path, help="folder of other modalities")
    parser.add_argument("--looks", nargs="+", help="take these looks only, such as fluorescence (default: all)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; it must not exist")
    args = parser.parse_args()
    if args.out.exists():
        raise ConfigError(f"{args.out} exists: choose another folder")
    if args.organs is None and args.stained is None and args.mixed is None:
        raise ConfigError("give --organs, --stained, --mixed or several of them")
    organs = [(args.organs, {"look": ORGAN, **row}) for row in _index(args.organs)] if args.organs else []
    stained = [(args.stained, row) for row in _index(args.stained)] if args.stained else []
    others = [(args.mixed, row) for row in _index(args.mixed) if row["look"] in UNSTAINED] if args.mixed else []
    if args.looks:
        known = sorted({row["look"] for _, row in organs + stained + others})
        if wrong := [look for look in args.looks if look not in known]:
            raise ConfigError(f"--looks {wrong[0]}: there are {', '.join(known)}")
        organs, stained, others = (
            [pair for pair in part if pair[1]["look"] in args.looks] for part in (organs, stained, others)
        )
    every = organs + stained + others
    if twice := [stem for stem, n in Counter(row["stem"] for _, row in every).items() if n > 1]:
        raise DataError(f"{twice[0]} is in two folders: take one of them out")
    sizes = Counter(row["group"] for _, row in organs + stained)
    try:
        rows = []
        for folder, row in every:
            _convert(folder, row["stem"], args.out, resized=row["look"] != ORGAN)
            repeat = _repeat(row["look"], sizes[row["group"]], bool(organs))
            rows.append({"stem": row["stem"], "group": row["group"], "look": row["look"], "repeat": repeat})
        write_csv(args.out / "index.csv", list(rows[0]), rows)
    except BaseException:
        shutil.rmtree(args.out, ignore_errors=True)
        raise
    print(f"{args.out}: {len(organs) + len(stained)} pictures of stained tissue, {len(others)} others")
    return 0


def _repeat(look: str, size: int, beside_organs: bool) -> int:
    """How often a pass of training shows a picture of this look, of whose group there are `size`."""
    if look == ORGAN:
        return MORE if size < FEW_OF_ORGAN else 1
    if look in UNSTAINED:
        return OF_LOOK[look] if beside_organs else 1
    return OFTEN if size < COMMON else 1


def _index(folder: Path) -> list[dict[str, str]]:
    """The rows of the pictures that lie in the folder."""
    path = next((p for p in (folder / "index.csv", folder.parent / "index.csv") if p.is_file()), None)
    if path is None or not (folder / "images").is_dir():
        raise MissingError(f"{folder} must hold images/ and masks/, with an index.csv there or one above")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if rows and "stem" not in rows[0]:
        rows = [{"stem": row["name"], **row} if "name" in row else row for row in rows]
    if not rows or not {"stem", "group"} <= set(rows[0]):
        raise DataError(f"{path} needs the columns stem (or name) and group, and look but for --organs")
    there = {image.stem for image in images_in(folder / "images")}
    if unlisted := sorted(there - {row["stem"] for row in rows}):
        raise DataError(f"{path} has no line for {unlisted[0]} ({len(unlisted)} of {len(there)} images)")
    return sorted((row for row in rows if row["stem"] in there), key=lambda row: row["stem"])


def _convert(folder: Path, stem: str, out: Path, resized: bool) -> None:
    """Write image and mask as PNG; `resized` until nuclei are as wide as they shall be."""
    path = next(path for path in images_in(folder / "images") if path.stem == stem)
    image, mask = to_rgb(read_image(path)), read_mask(folder / "masks" / f"{stem}.png").astype(np.int32)
    if resized:
        areas = np.bincount(mask.ravel())[1:]
        diameter = median_diameter(areas[areas > 0])
        if diameter is None:
            raise DataError(f"{stem} has no nucleus")
        factor = float(np.clip(diameter, SMALLEST, LARGEST)) / diameter
        size = (round(image.shape[0] * factor), round(image.shape[1] * factor))
        # Enlarged masks are a little square: their outlines are smoothed by nothing here.
        image, mask = resize_image(image, size), resize_truth(mask, size)
    for name, array in (("images", image), ("masks", mask.astype(np.uint16))):
        with atomic(out / name / f"{stem}.png") as file:
            Image.fromarray(array).save(file, format="PNG")


if __name__ == "__main__":
    sys.exit(guarded("prepare_nuclei", main))
