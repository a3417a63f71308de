"""Paired differences between score files, with 95 % intervals by bootstrap over images (10,000 draws, seed 0).

python benchmarks/paired.py A.json B.json [C.json ...]     # each against the first
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np


def dice_by_name(path: Path) -> dict[str, float]:
    return {row["name"]: row["dice"] for row in json.loads(path.read_text(encoding="utf-8"))["per_image"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("files", type=Path, nargs="+")
    files = parser.parse_args().files
    first = dice_by_name(files[0])
    print(f"{files[0]}: mean Dice {np.mean(list(first.values())):.4f} over {len(first)} images")
    for path in files[1:]:
        other = dice_by_name(path)
        if other.keys() != first.keys():
            raise SystemExit(f"{path} and {files[0]} score different images")
        differences = np.array([other[name] - first[name] for name in sorted(first)])
        picks = np.random.default_rng(0).integers(0, len(differences), (10_000, len(differences)))
        low, high = np.percentile(differences[picks].mean(1), [2.5, 97.5])
        print(
            f"{path}: mean Dice {np.mean(list(other.values())):.4f}, difference {differences.mean():+.4f} "
            f"[{low:+.4f}, {high:+.4f}]"
        )


if __name__ == "__main__":
    main()
