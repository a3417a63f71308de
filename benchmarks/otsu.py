"""The baseline without learning: Otsu's threshold on the haematoxylin channel, scored as a model is.

python benchmarks/otsu.py --root DIR [--split val] [--protocol paper] [--json otsu.json]
"""

from __future__ import annotations

import argparse

import numpy as np
from skimage.color import rgb2hed
from skimage.filters import threshold_otsu

from segdiff.data.datasets import build_dataset
from segdiff.data.protocols import get_protocol
from segdiff.data.writers import write_json
from segdiff.workflows.evaluate import score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--root", required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--protocol", default="paper")
    parser.add_argument("--json")
    args = parser.parse_args()
    protocol, rows = get_protocol(args.protocol, "monuseg"), []
    for sample in build_dataset("monuseg", args.root, args.split):
        shown = protocol.prepare(sample)
        stain = rgb2hed(shown.image)[..., 0]
        rows.append({"name": sample.name, **score(stain > threshold_otsu(stain), shown.mask)})
        print(f"{sample.name}  {rows[-1]['dice']:.4f}  {rows[-1]['iou']:.4f}")
    means = {key: float(np.mean([row[key] for row in rows])) for key in ("dice", "iou")}
    print(f"mean of {len(rows)}: Dice {means['dice']:.4f}, IoU {means['iou']:.4f}")
    if args.json:
        write_json(args.json, {**means, "protocol": args.protocol, "split": args.split, "per_image": rows})


if __name__ == "__main__":
    main()
