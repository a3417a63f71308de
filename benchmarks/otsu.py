"""The baseline without learning: Otsu's threshold on the haematoxylin channel, scored as a model is.

    python benchmarks/otsu.py --root DIR [--split val] [--protocol paper] [--json otsu.json]
    python benchmarks/otsu.py --dataset folder --protocol native --root nuclei_data --fold 1 --json otsu_fold_1.json

Objects are the connected parts of the mask, as a model's without a channel of cores.
"""

from __future__ import annotations

import argparse

from scipy import ndimage
from skimage.color import rgb2hed
from skimage.filters import threshold_otsu

from segdiff.cli.scores import table
from segdiff.data.datasets import build_dataset
from segdiff.data.protocols import get_protocol
from segdiff.data.writers import write_json
from segdiff.metrics.table import Scoring
from segdiff.workflows.scoring import score, summarise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--root", required=True)
    parser.add_argument("--dataset", default="monuseg")
    parser.add_argument("--split", default="val")
    parser.add_argument("--fold", type=int)
    parser.add_argument("--metrics", nargs="+", help="(default: those of the protocol)")
    parser.add_argument("--protocol", default="paper")
    parser.add_argument("--json")
    args = parser.parse_args()
    protocol, rows = get_protocol(args.protocol, args.dataset), []
    scoring = Scoring(tuple(args.metrics or protocol.metrics))
    options = {} if args.fold is None else {"fold": args.fold}
    for sample in build_dataset(args.dataset, args.root, args.split, **options):
        shown = protocol.prepare(sample)
        stain = rgb2hed(shown.image)[..., 0]
        mask = stain > threshold_otsu(stain)
        objects = {"instances": ndimage.label(mask)[0], "true_instances": shown.instances}
        rows.append({"name": sample.name, **score(mask, shown.mask, scoring, said=objects)})
    scores = {**summarise(rows, scoring), "protocol": args.protocol, "dataset": args.dataset, "split": args.split}
    print(table(scores))
    if args.json:
        write_json(args.json, scores)


if __name__ == "__main__":
    main()
