"""Rule 4, measured: what windows cost in accuracy at their borders and inside, against the whole picture as one window.

make demo
python benchmarks/seams.py --model runs/demo/model --images examples/nuclei/train/images examples/nuclei/val/images
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

import segdiff
from segdiff.data.images import list_images, read_image
from segdiff.diffusion.sampling import Sampling
from segdiff.inference.windows import Window, plan_windows

NEAR = 4  # pixels to a window's border


def at_borders_and_inside(
    difference: NDArray[np.floating], windows: list[Window], multiple: int = 1
) -> tuple[float, float, float, float]:
    """Mean error within `NEAR` pixels of a window's border, and its mean jump across borders; then both elsewhere.

    Args:
        difference: (H, W), windows minus whole. Borders of the picture itself do not count.
        multiple: jumps elsewhere are those across lines at multiples of it. A network that computes on a coarser grid
            changes from one of its cells to the next, and windows often begin between two of them.
    """
    height, width = difference.shape
    near, across = np.zeros((2, height, width), dtype=bool), np.zeros((2, height, width), dtype=bool)
    jumps = np.zeros((2, height, width))
    jumps[0, 1:] = np.abs(np.diff(difference, axis=0))
    jumps[1, :, 1:] = np.abs(np.diff(difference, axis=1))
    for window in windows:
        for edge in (window.top, window.top + window.height):
            if 0 < edge < height:
                near[0, max(0, edge - NEAR) : edge + NEAR] = across[0, edge] = True
        for edge in (window.left, window.left + window.width):
            if 0 < edge < width:
                near[1, :, max(0, edge - NEAR) : edge + NEAR] = across[1, :, edge] = True
    error, close_by = np.abs(difference), near.any(axis=0)
    lines = np.zeros_like(across)
    lines[0, ::multiple] = lines[1, :, ::multiple] = True
    means = (error[close_by], jumps[across], error[~close_by], jumps[lines & ~across])
    return tuple(float(values.mean()) for values in means)  # type: ignore[return-value]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--images", nargs="+", required=True)
    parser.add_argument("--window", type=int, default=128)
    args = parser.parse_args()
    predictor = segdiff.load(args.model, precision="float32")
    multiple = predictor.segmenter.size_multiple
    sampling = Sampling("ddim", steps=2, chains=4, clip=True)
    images = [read_image(path) for path in list_images(args.images)]
    wholes = [predictor.predict(image, sampling=sampling, windows=(None, 0.0)).probability for image in images]
    print(
        f"{len(images)} images, windows of {args.window}, {sampling.chains} chains of {sampling.steps} steps, float32\n"
    )
    print("| overlap | error at borders | inside | ratio | jump at borders | elsewhere | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for overlap in (0.0, 0.25, 0.5):
        found = []
        for image, whole in zip(images, wholes, strict=True):
            parts = predictor.predict(image, sampling=sampling, windows=(args.window, overlap)).probability
            found.append(
                at_borders_and_inside(parts - whole, plan_windows(*whole.shape, args.window, overlap), multiple)
            )
        at, jump, inside, elsewhere = np.mean(found, axis=0)
        errors, jumps = f"{at:.4f} | {inside:.4f} | {at / inside:.2f}", f"{jump:.4f} | {elsewhere:.4f}"
        print(f"| {overlap} | {errors} | {jumps} | {jump / elsewhere:.2f} |")


if __name__ == "__main__":
    main()
