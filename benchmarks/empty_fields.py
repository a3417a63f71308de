"""Fields without objects: how much of them a model marks, by themselves and within their picture.

    python benchmarks/empty_fields.py --model runs/nuclei_f1/model --root nuclei_data --fold 1 \\
        --groups nuclei_data/index.csv --looks organ --json FILE

Of each held-out picture the first square (from the top left, every 8 pixels) in which its truth has no object, if there
is one. By itself a field of stroma or glass has no nucleus to say what dark is, and its own statistics stretch it.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.datasets import build_dataset
from segdiff.data.writers import write_json
from segdiff.inference.options import PredictOptions
from segdiff.metrics.intervals import bootstrap_interval
from segdiff.workflows.load import load_predictor

MARKED = 0.02  # share of its pixels above which a field counts as marked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--fold", type=int, required=True, help="its pictures were held out of the model's training")
    parser.add_argument("--groups", type=Path, required=True, help="table with the columns stem, group and look")
    parser.add_argument("--looks", nargs="+", help="only pictures of these looks")
    parser.add_argument("--side", type=int, default=160, help="of the fields in pixels (default: 160)")
    parser.add_argument("--views", type=int, help="(default: the model's)")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    predictor = load_predictor(args.model, device="cpu")
    dataset = build_dataset("folder", args.root, "val", fold=args.fold)
    with args.groups.open(newline="", encoding="utf-8") as file:
        rows = {row["stem"]: row for row in csv.DictReader(file)}
    options, fields = PredictOptions(views=args.views), []
    for index, name in enumerate(dataset.names):
        if args.looks and rows[name]["look"] not in args.looks:
            continue
        sample = dataset[index]
        place = empty_square(sample.mask[:, 0].any(axis=0), args.side)
        if place is None:
            continue
        alone = predictor.predict(np.ascontiguousarray(sample.image[place]), options).mask
        within = predictor.predict(sample.image, options).mask[place]
        found = {"alone": float(alone.mean()), "within": float(within.mean())}
        fields.append({"name": name, "group": rows[name]["group"], **found})
    result: dict[str, Any] = {"model": predictor.identity, "side": args.side, "fields": fields}
    for kind in ("alone", "within"):
        shares = [one[kind] for one in fields]
        low_high = bootstrap_interval(shares)
        more = float(np.mean([share > MARKED for share in shares]))
        result[kind] = {"n": len(shares), "mean": float(np.mean(shares)), "interval": low_high, f"above {MARKED}": more}
        print(kind, result[kind])
    if args.json:
        write_json(args.json, result)


def empty_square(mask: NDArray[np.bool_], side: int) -> tuple[slice, slice] | None:
    """Find the first square without any object; None where there is none."""
    sums = np.pad(mask.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    objects = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    places = np.argwhere(objects[::8, ::8] == 0)
    if not len(places):
        return None
    top, left = (int(8 * place) for place in places[0])
    return slice(top, top + side), slice(left, left + side)


if __name__ == "__main__":
    main()
