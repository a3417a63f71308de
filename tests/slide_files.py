"""Slides as scanners and libraries lay them out, written by tifffile. Their pixels are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

APERIO = "Aperio Image Library v12.0.15\n{width}x{height} [0,0 {width}x{height}] (256x256) -|AppMag = 20|MPP = {mpp}"


def picture(height: int, width: int, channels: int = 3, dtype: Any = np.uint8, seed: int = 0) -> np.ndarray:
    """Noise on a slope, every pixel different from its neighbours, (H, W) for one channel."""
    top = 255 if dtype == np.uint8 else 4000
    slope = np.linspace(0, top / 2, height)[:, None, None] + np.linspace(0, top / 4, width)[None, :, None]
    noise = np.random.default_rng(seed).random((height, width, channels)) * top / 4
    array = (slope + noise).astype(dtype)
    return array[..., 0] if channels == 1 else array


def shrunk(array: np.ndarray, step: int, up: bool = False) -> np.ndarray:
    """Every step-th pixel; `up`: a size that is not divisible is rounded up, else down."""
    height, width = (-(-n // step) if up else n // step for n in array.shape[:2])
    return array[::step, ::step][:height, :width]


def write_aperio(
    path: Path, array: np.ndarray, steps: tuple[int, ...] = (4,), mpp: str = "0.499", **options: Any
) -> None:
    """SVS: tiled pages, the second page a thumbnail in strips, then levels, a label and a macro at the end."""
    height, width = array.shape[:2]
    text = APERIO.format(height=height, width=width, mpp=mpp)
    tiled: dict[str, Any] = {"tile": (128, 128), "photometric": "rgb", "metadata": None, **options}
    plain: dict[str, Any] = {"photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path) as file:
        file.write(array, description=text, **tiled)
        file.write(shrunk(array, 8), description=f"Aperio\n{width}x{height} -> thumbnail", **plain)
        for step in steps:
            file.write(shrunk(array, step), description=f"Aperio\n{width}x{height} -> level", **tiled)
        file.write(picture(50, 40), subfiletype=1, description="Aperio\nlabel 40x50", **plain)
        file.write(picture(40, 120), subfiletype=9, description="Aperio\nmacro 120x40", **plain)


def write_ome(path: Path, array: np.ndarray, axes: str, steps: tuple[int, ...] = (2, 4), **options: Any) -> None:
    """OME-TIFF with its levels in SubIFDs, the full image in the order of `axes` (YX, YXS, CYX)."""
    metadata = {"axes": axes, "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, **options.pop("metadata", {})}
    photometric = "rgb" if axes == "YXS" else "minisblack"
    tiled: dict[str, Any] = {"tile": (64, 64), "photometric": photometric, "compression": "zlib", **options}
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(array, metadata=metadata, subifds=len(steps), **tiled)
        for step in steps:
            small = array[..., ::step, ::step] if axes in ("YX", "CYX") else array[::step, ::step]
            file.write(small, subfiletype=1, **tiled)


def write_pages(
    path: Path, array: np.ndarray, steps: tuple[int, ...] = (2, 4), up: bool = False, **options: Any
) -> None:
    """A pyramid of pages that follow one another, as large_image and vips write them."""
    tiled: dict[str, Any] = {"tile": (64, 96), "metadata": None, **options}
    with tifffile.TiffWriter(path) as file:
        file.write(array, **tiled)
        for step in steps:
            file.write(shrunk(array, step, up), subfiletype=1, **tiled)
