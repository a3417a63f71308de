"""Makes one folder of training data for nuclei of two that hold pictures of the Data Science Bowl 2018.

    python tools/prepare_dsb2018.py --stained dsb2018_he --mixed dsb2018_256/train --out nuclei_data

Either folder has images/ and masks/ (instance numbers, 0 the background) of the same stems; its index.csv (there, or
one above) has the columns stem, look and group. Of --mixed only what is not stained tissue is taken: fluorescence and
brightfield. Either may be left out, and --looks takes pictures of these looks only. Pictures whose nuclei are not 16 to
30 pixels wide (median) are resized until they are. Looks of stained tissue that hold few pictures are repeated in
training, so that the two largest do not crowd them out.

The folder that is written has images/, masks/ and index.csv (stem, group, look, repeat), as dataset=folder reads it.
"""

from __future__ import annotations

import argparse
import csv
import io
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
from segdiff.data.writers import atomic
from segdiff.errors import ConfigError, DataError, MissingError

UNSTAINED = ("fluorescence", "brightfield")
SMALLEST, LARGEST = 16, 30  # median diameter of the nuclei of a picture, in pixels
COMMON, OFTEN = 30, 8  # a group of fewer stained pictures than COMMON is shown OFTEN times


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stained", type=Path, help="folder of stained tissue")
    parser.add_argument("--mixed", type=Path, help="folder of other modalities")
    parser.add_argument("--looks", nargs="+", help="take these looks only, such as fluorescence (default: all)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; it must not exist")
    args = parser.parse_args()
    if args.out.exists():
        raise ConfigError(f"{args.out} exists: choose another folder")
    if args.stained is None and args.mixed is None:
        raise ConfigError("give --stained, --mixed or both")
    stained = [(args.stained, row) for row in _index(args.stained)] if args.stained else []
    others = [(args.mixed, row) for row in _index(args.mixed) if row["look"] in UNSTAINED] if args.mixed else []
    if args.looks:
        known = sorted({row["look"] for _, row in stained + others})
        if wrong := [look for look in args.looks if look not in known]:
            raise ConfigError(f"--looks {wrong[0]}: there are {', '.join(known)}")
        stained, others = ([pair for pair in part if pair[1]["look"] in args.looks] for part in (stained, others))
    twice = [stem for stem, n in Counter(row["stem"] for _, row in stained + others).items() if n > 1]
    if twice:
        raise DataError(f"{twice[0]} is in both folders: take one of them out")
    sizes = Counter(row["group"] for _, row in stained)
    rows = []
    try:
        for folder, row in stained + others:
            _convert(folder, row["stem"], args.out)
            rare = row["look"] not in UNSTAINED and sizes[row["group"]] < COMMON
            repeat = OFTEN if rare else 1
            rows.append({"stem": row["stem"], "group": row["group"], "look": row["look"], "repeat": repeat})
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        with atomic(args.out / "index.csv") as file:
            file.write(text.getvalue().encode())
    except BaseException:
        shutil.rmtree(args.out, ignore_errors=True)
        raise
    print(f"{args.out}: {len(stained)} pictures of stained tissue, {len(others)} others")
    return 0


def _index(folder: Path) -> list[dict[str, str]]:
    """The rows of the pictures that lie in the folder."""
    path = next((p for p in (folder / "index.csv", folder.parent / "index.csv") if p.is_file()), None)
    if path is None or not (folder / "images").is_dir():
        raise MissingError(f"{folder} must hold images/ and masks/, with an index.csv there or one above")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"stem", "look", "group"} <= set(rows[0]):
        raise DataError(f"{path} needs the columns stem, look and group")
    there = {image.stem for image in images_in(folder / "images")}
    if unlisted := sorted(there - {row["stem"] for row in rows}):
        raise DataError(f"{path} has no line for {unlisted[0]} ({len(unlisted)} of {len(there)} images)")
    return sorted((row for row in rows if row["stem"] in there), key=lambda row: row["stem"])


def _convert(folder: Path, stem: str, out: Path) -> None:
    image, mask = to_rgb(read_image(folder / "images" / f"{stem}.png")), read_mask(folder / "masks" / f"{stem}.png")
    areas = np.bincount(mask.ravel())[1:]
    diameter = median_diameter(areas[areas > 0])
    if diameter is None:
        raise DataError(f"{stem} has no nucleus")
    factor = float(np.clip(diameter, SMALLEST, LARGEST)) / diameter
    size = (round(image.shape[0] * factor), round(image.shape[1] * factor))
    # Enlarged masks are a little square: their outlines are smoothed by nothing here.
    for name, array in (("images", resize_image(image, size)), ("masks", resize_truth(mask.astype(np.int32), size))):
        with atomic(out / name / f"{stem}.png") as file:
            Image.fromarray(array if name == "images" else array.astype(np.uint16)).save(file, format="PNG")


if __name__ == "__main__":
    sys.exit(guarded("prepare_dsb2018", main))
