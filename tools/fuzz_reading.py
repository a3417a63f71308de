"""Damage picture files of every format, and see that reading gives a picture, a mask or one line, and nothing else.

    python tools/fuzz_reading.py --files 3000 --seed 0

Prints a line for each kind of file: how many were read, how many refused, and the slowest. Exit code 1 where anything
but a `UserError` of one line came out, with the bytes kept in --keep to look at.
"""

from __future__ import annotations

import argparse
import io
import random
import struct
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from segdiff.data.images import read_image, read_size, to_rgb
from segdiff.data.masks import foreground, instances, read_mask
from segdiff.data.nodata import find_no_data
from segdiff.errors import UserError

SLOW = 5.0  # seconds
MEMORY = 6 * 2**30
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (23, 31)).astype(np.uint8)
COLOUR = RNG.integers(0, 256, (23, 31, 3)).astype(np.uint8)
DEEP = RNG.integers(0, 65536, (23, 31, 3)).astype(np.uint16)
COMPRESSIONS = ("none", "zlib", "lzw", "packbits", "zstd", "lzma", "jpeg", "jpeg2000", "webp", "jpegxl", "png")


def encoded(save_to: Callable[[io.BytesIO], Any]) -> bytes:
    """Return what a writer puts into a file."""
    file = io.BytesIO()
    save_to(file)
    return file.getvalue()


def pillow(array: np.ndarray, kind: str, mode: str | None = None, **options: Any) -> bytes:
    """Return an array as a file of Pillow's."""
    picture = Image.fromarray(array)
    return encoded(lambda file: (picture.convert(mode) if mode else picture).save(file, format=kind, **options))


def tiff(array: np.ndarray, **options: Any) -> bytes:
    """Return an array as a TIFF of tifffile's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return encoded(lambda file: tifffile.imwrite(file, array, **options))


def seeds() -> dict[str, bytes]:
    """Return a whole file of each kind, by name."""
    found = {
        "grey.png": pillow(GREY, "PNG"),
        "colour.png": pillow(COLOUR, "PNG"),
        "alpha.png": pillow(np.dstack([COLOUR, GREY]), "PNG"),
        "greyalpha.png": pillow(np.dstack([COLOUR, GREY]), "PNG", "LA"),
        "palette.png": pillow(COLOUR, "PNG", "P"),
        "clear.png": pillow(COLOUR, "PNG", "P", transparency=3),
        "bits.png": pillow(GREY > 99, "PNG"),
        "deep.png": pillow(DEEP[..., 0], "PNG"),
        "deepcolour.png": imagecodecs.png_encode(DEEP),
        "grey.jpg": pillow(GREY, "JPEG"),
        "colour.jpg": pillow(COLOUR, "JPEG"),
        "progressive.jpg": pillow(COLOUR, "JPEG", progressive=True),
        "cmyk.jpg": pillow(COLOUR, "JPEG", "CMYK"),
        "grey.bmp": pillow(GREY, "BMP"),
        "colour.bmp": pillow(COLOUR, "BMP"),
        "palette.gif": pillow(GREY, "GIF"),
        "colour.webp": pillow(COLOUR, "WEBP"),
        "colour.jp2": pillow(COLOUR, "JPEG2000"),
        "deep.jp2": imagecodecs.jpeg2k_encode(DEEP, codecformat="jp2"),
        "grey.pgm": pillow(GREY, "PPM"),
        "bool.tif": tiff(GREY > 99),
        "float.tif": tiff(GREY / np.float32(255)),
        "double.tif": tiff(GREY / 255),
        "int.tif": tiff(GREY.astype(np.int32)),
        "deep.tif": tiff(DEEP, photometric="rgb"),
        "big.tif": tiff(COLOUR, bigtiff=True),
        "tiled.tif": tiff(GREY, tile=(16, 16), compression="zlib"),
        "planes.tif": tiff(DEEP.transpose(2, 0, 1), photometric="rgb", planarconfig="separate"),
        "stack.tif": tiff(np.stack([GREY] * 4), photometric="minisblack"),
        "single.tif": tiff(np.stack([GREY] * 4), photometric="minisblack", truncate=True),
        "ome.ome.tif": tiff(np.stack([GREY] * 2), photometric="minisblack", metadata={"axes": "CYX"}, ome=True),
        "imagej.tif": tiff(np.stack([GREY] * 3), imagej=True, metadata={"axes": "ZYX"}),
        "palette.tif": pillow(COLOUR, "TIFF", "P"),
        "ccitt.tif": pillow(GREY > 99, "TIFF", compression="group4"),
        "twelve.tif": tiff(DEEP[..., 0] >> 4, bitspersample=12),
        "cmyk.tif": pillow(COLOUR, "TIFF", "CMYK"),
    }
    for name in COMPRESSIONS:
        array = COLOUR if name in ("webp", "jpeg") else DEEP if name not in ("jpegxl",) else COLOUR
        found[f"{name}.tif"] = tiff(array, photometric="rgb", compression=None if name == "none" else name)
    return {name: bytes(content) for name, content in found.items()}


def mutated(content: bytes, draw: random.Random) -> bytes:
    """Return a file with bytes changed, cut out, put in, moved or cut off, once to four times."""
    data = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        # Headers decide most: half of the places are in the first hundred bytes, or in the last.
        span = draw.choice([len(data), min(100, len(data))])
        place = draw.randrange(max(span, 1))
        place = max(len(data) - 1 - place, 0) if draw.random() < 0.2 else place
        how = draw.choice(["bit", "byte", "cut", "insert", "end", "number", "swap"])
        if how == "bit" and data:
            data[place] ^= 1 << draw.randrange(8)
        elif how == "byte" and data:
            data[place] = draw.randrange(256)
        elif how == "cut":
            del data[place : place + draw.randint(1, 40)]
        elif how == "insert":
            data[place:place] = draw.randbytes(draw.randint(1, 20))
        elif how == "end":
            del data[place:]
        elif how == "number":
            number = draw.choice([0, 1, 2, 255, 2**15, 2**16, 2**31 - 1, 2**32 - 1])
            data[place : place + 4] = struct.pack(draw.choice("<>") + "I", number)
        else:
            other = draw.randrange(max(len(data), 1))
            data[place : place + 8], data[other : other + 8] = data[other : other + 8], data[place : place + 8]
    return bytes(data)


def look(path: Path) -> None:
    """Read a file in every way; AssertionError where what is read is no picture or no mask."""
    read_size(path)
    for read in (_as_image, _as_mask):
        try:
            read(path)
        except UserError as error:
            assert str(error) and len(str(error).splitlines()) == 1, f"not one line: {error!r}"


def _as_image(path: Path) -> None:
    array = to_rgb(read_image(path))
    assert array.ndim == 3 and array.shape[2] == 3 and array.size and np.isfinite(array).all()
    find_no_data(array)


def _as_mask(path: Path) -> None:
    mask = read_mask(path)
    assert mask.ndim == 2 and mask.size and set(np.unique(foreground(mask))) <= {0, 1}
    labels = instances(mask)
    assert labels is None or labels.min() >= 0


def run(files: int, seed: int) -> Iterator[tuple[str, bytes, str | None, float]]:
    """Damage and look at files: for each its kind, its bytes, what went wrong (None: nothing), and seconds."""
    whole = list(seeds().items())
    with tempfile.TemporaryDirectory() as folder:
        for number in range(files):
            name, content = whole[number % len(whole)]
            damaged = mutated(content, random.Random(f"{seed}/{number}"))
            path = Path(folder) / name
            path.write_bytes(damaged)
            began = time.perf_counter()
            wrong = None
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of libraries about odd files
                try:
                    look(path)
                except Exception:  # anything at all is what is looked for
                    wrong = traceback.format_exc()
            yield name, damaged, wrong, time.perf_counter() - began


def main() -> int:
    """Run the command."""
    import resource

    # A file that asks for more must be refused by its size, or told that it does not fit.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", default="fuzz_failures", help="folder for files that went wrong")
    args = parser.parse_args()
    counts: dict[str, list[float]] = {}
    failures = 0
    for name, content, wrong, seconds in run(args.files, args.seed):
        counts.setdefault(name, []).append(seconds)
        if seconds > SLOW:
            print(f"{name}: {seconds:.1f} s", flush=True)
        if wrong is not None:
            failures += 1
            Path(args.keep).mkdir(exist_ok=True)
            (Path(args.keep) / f"{failures}_{name}").write_bytes(content)
            print(f"{name}: {wrong}")
    slowest = max((max(times), name) for name, times in counts.items())
    print(
        f"{args.files} damaged files of {len(counts)} kinds: {failures} gave something other than a result or one line"
    )
    print(f"slowest: {slowest[0]:.2f} s, {slowest[1]}")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
