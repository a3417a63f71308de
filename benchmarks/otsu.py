"""The baseline without learning: Otsu's threshold on the haematoxylin channel, scored as a model is.

python benchmarks/otsu.py --root DIR [--split val] [--protocol paper] [--json otsu.json]
"""

from __future__ import annotations

import argparse

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
    parser.add_argument("--split", default="val")
    parser.add_argument("--protocol", default="paper")
    parser.add_argument("--json")
    args = parser.parse_args()
    protocol, rows = get_protocol(args.protocol, "monuseg"), []
    scoring = Scoring(protocol.metrics)
    for sample in build_dataset("monuseg", args.root, args.split):
        shown = protocol.prepare(sample)
        stain = rgb2hed(shown.image)[..., 0]
        rows.append({"name": sample.name, **score(stain > threshold_otsu(stain), shown.mask, scoring)})
    scores = {**summarise(rows, scoring), "protocol": args.protocol, "dataset": "monuseg", "split": args.split}
    print(table(scores))
    if args.json:
        write_json(args.json, scores)


if __name__ == "__main__":
    main()
