"""A table of trainings that were made to choose by: what differed, and how each did on its validation images.

python tools/train.py experiment=... run.dir=runs/NAME      # each of them
python benchmarks/choices.py runs/NAME ... [--json FILE]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from segdiff.data.writers import write_json

LEFT_OUT = ("run.dir", "device", "resume", "trainer.panels", "trainer.validate_every")
METRICS = ("dice", "iou", "ece_raw", "brier", "diversity")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = [_row(run) for run in args.runs]
    for row in sorted(rows, key=lambda row: -row["dice"]):
        values = "  ".join(f"{name} {row[name]:.4f}" for name in METRICS if name in row)
        print(f"{row['run']:12} {values}  {row['minutes']:5.1f} min  {' '.join(row['options'])}")
    if args.json:
        write_json(args.json, {"runs": rows})


def _row(run: Path) -> dict[str, Any]:
    scores = json.loads((run / "validation.json").read_text(encoding="utf-8"))
    about = json.loads((run / "environment.json").read_text(encoding="utf-8"))
    options = [one for one in about["command"][1:] if one.partition("=")[0] not in LEFT_OUT]
    options = ["dataset.root=DIR" if one.startswith("dataset.root=") else one for one in options]
    means = {name: found["mean"] for name, found in scores["metrics"].items() if name in METRICS}
    per_image = {row["name"]: row["dice"] for row in scores["per_image"]}
    return {
        "run": run.name,
        "options": options,
        **means,
        "minutes": about["minutes"],
        "commit": about["commit"],
        "threads": about["machine"]["threads"],
        "versions": about["versions"],
        "per_image_dice": per_image,
    }


if __name__ == "__main__":
    main()
