"""What the table and the outlines of objects take: seconds beside the network's, and bytes a nucleus.

    python benchmarks/objects.py [--image FILE] [--side 2048] [--repeats 5] [--labels DIR ...] [--json FILE]

A picture, mirrored up to `--side`, is predicted by a model and its nuclei are told apart; then the steps of writing
them are taken in turns, and scikit-image's `regionprops_table` with the same columns. Seconds are of the processor (one
thread), so that other work on the machine counts less; the median. Bytes are of the GeoJSON with all measurements,
plain and packed (gzip, level 6), of these nuclei and of those in each folder of label maps.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skimage.measure import regionprops_table

import segdiff
from segdiff.data.annotations.outlines import trace
from segdiff.data.images import images_in, read_image
from segdiff.data.masks import instances, read_mask
from segdiff.data.object_files import MEASUREMENTS, measurements_of, write_geojson, write_table
from segdiff.data.object_table import object_table, table_rows
from segdiff.data.writers import write_json
from segdiff.workflows.record import versions

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "examples" / "nuclei" / "train" / "images" / "3934a094e8537841.png"
PROPERTIES = (
    *("label", "bbox", "centroid", "area", "perimeter", "eccentricity", "solidity", "orientation"),
    *("axis_major_length", "axis_minor_length", "equivalent_diameter_area", "intensity_mean"),
)
MPP = 0.25


def enlarged(image: np.ndarray, side: int) -> np.ndarray:
    """Mirrored at its right and bottom borders up to (side, side)."""
    pads = [(0, max(0, side - length)) for length in image.shape[:2]] + [(0, 0)] * (image.ndim - 2)
    return np.pad(image, pads, mode="symmetric")[:side, :side]


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    found = call()
    return time.process_time() - began, found


def judged(count: int) -> dict[str, np.ndarray]:
    """Columns that a model would give, of four digits."""
    return {name: np.random.default_rng(i).random(count) for i, name in enumerate(MEASUREMENTS)}


def bytes_of(labels: np.ndarray, folder: Path, name: str) -> tuple[int, int, int]:
    """Nuclei, bytes plain, bytes packed."""
    columns = object_table(labels, more=judged(np.unique(labels[labels > 0]).size))
    path = write_geojson(folder / "x.geojson", labels, measurements_of(columns, MPP), picture=name, zipped_above=2**40)
    content = path.read_bytes()
    return columns["id"].size, len(content), len(gzip.compress(content, 6))


def times(image: np.ndarray, labels: np.ndarray, folder: Path, repeats: int) -> dict[str, float]:
    """Seconds of each step of writing, and of what scikit-image takes for the table."""
    more = judged(int(labels.max()))
    taken: dict[str, list[float]] = {}

    def step(name: str, call: Callable[[], Any]) -> Any:
        spent, found = seconds(call)
        taken.setdefault(name, []).append(spent)
        return found

    def outlines_file(batches: Any, measured: Any) -> Path:
        return write_geojson(folder / "x.geojson", labels, measured, batches=batches)

    def scikit_image() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            regionprops_table(labels, image, properties=PROPERTIES)

    for _ in range(repeats):
        batches = step("outlines", lambda: list(trace(labels)))
        columns = step("table", partial(object_table, labels, image, MPP, more, batches))
        rows = table_rows(columns, "x.png")
        step("CSV", partial(write_table, folder / "x.csv", ("image", *columns), rows))
        step("GeoJSON", partial(outlines_file, batches, measurements_of(columns, MPP)))
        step("regionprops_table", scikit_image)
    return {name: statistics.median(values) for name, values in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--image", type=Path, default=PICTURE)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--labels", type=Path, nargs="*", default=[])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    image = enlarged(read_image(args.image), args.side)
    network, prediction = seconds(lambda: segdiff.load(args.model, device="cpu").predict(image))
    separation, labels = seconds(prediction.instances)
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spent = times(image, labels, folder, args.repeats)
        weighed = {args.image.name: [bytes_of(labels, folder, args.image.name)]}
        for source in args.labels:
            maps = ((path, instances(read_mask(path), sure=True)) for path in images_in(source))
            weighed[source.parent.name] = [bytes_of(own, folder, p.name) for p, own in maps if own is not None]
    print(f"{labels.max()} objects on {args.side} x {args.side}; one thread, median of {args.repeats}\n")
    print("| step | seconds | share of prediction |\n| --- | --- | --- |")
    for step, value in {"prediction": network, "objects told apart": separation, **spent}.items():
        rows[step] = {"seconds": value, "share": value / network}
        print(f"| {step} | {value:.3f} | {value / network:.2%} |")
    print("\n| label maps | nuclei | bytes a nucleus | packed |\n| --- | --- | --- | --- |")
    sizes = {}
    for source_name, found in weighed.items():
        count, plain, packed = (sum(one[i] for one in found) for i in range(3))
        sizes[source_name] = {"nuclei": count, "bytes": plain / count, "packed": packed / count}
        print(f"| {source_name} | {count} | {plain / count:.0f} | {packed / count:.0f} |")
    if args.json:
        about = {"side": args.side, "objects": int(labels.max()), "model": args.model, "versions": versions()}
        write_json(args.json, {**about, "rows": rows, "sizes": sizes})


if __name__ == "__main__":
    main()
