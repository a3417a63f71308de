"""Makes the folder of a model that has a name: weights of a run, facts, scores, card.

    python tools/release_model.py --model runs/nuclei/model --facts tools/cards/nuclei.yaml \\
        --scores benchmarks/results/nuclei_*.json --out segdiff/weights/nuclei

Facts are a YAML file: what `segdiff.artifacts.card.model_card` takes, less the scores; and "on", a mapping from the
names of score files (without .json) to what they are scores of and the command that made them. A file that holds
several of `segdiff evaluate --json` under "folds" counts as one over all their images. No figure is typed in.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from segdiff.artifacts.folder import load_artifact, save_artifact
from segdiff.cli.main import guarded
from segdiff.errors import ConfigError
from segdiff.metrics.intervals import bootstrap_interval

SHOWN = ("dice", "iou", "aji", "pq", "ece", "ece_objects")
FROM_RUN = ("steps", "minutes", "images", "seed")  # what the run itself knows


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="folder of the trained model")
    parser.add_argument("--facts", type=Path, required=True, help="YAML file of facts")
    parser.add_argument("--scores", type=Path, nargs="*", default=[], help="JSON files of scores")
    parser.add_argument("--views", type=int, help="dihedral views that the model takes unless told otherwise")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; a model there is replaced")
    args = parser.parse_args()
    facts = yaml.safe_load(args.facts.read_text(encoding="utf-8"))
    about = facts.pop("on", {})
    pictures = [args.facts.parent / picture["file"] for picture in facts.get("pictures") or []]
    artifact = load_artifact(args.model)
    own = {name: artifact.training[name] for name in FROM_RUN if name in artifact.training}
    scores = [_score(path, about) for path in args.scores]
    if args.views is not None:
        artifact.sampling = replace(artifact.sampling, views=args.views)
    if args.out.exists():
        shutil.rmtree(args.out)
    save_artifact(replace(artifact, training={**facts, **own, "scores": scores}), args.out)
    for picture in pictures:
        shutil.copy(picture, args.out / picture.name)
    print((args.out / "README.md").read_text(encoding="utf-8"))
    return 0


def _score(path: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    if path.stem not in about:
        raise ConfigError(f"{path}: the facts do not say what {path.stem} is of (on: ...)")
    content = json.loads(path.read_text(encoding="utf-8"))
    parts: Sequence[Mapping[str, Any]] = content.get("folds") or [content]
    rows = [row for part in parts for row in part["per_image"]]
    values, intervals = {}, {}
    for name in SHOWN:
        found = [row[name] for row in rows if row.get(name) is not None]
        if found:
            values[name] = round(sum(found) / len(found), 4)
            low_high = bootstrap_interval(found)
            if low_high:
                intervals[name] = [round(value, 4) for value in low_high]
    described = dict(about[path.stem])
    return {
        **described,
        "protocol": parts[0]["protocol"],
        "images": len(rows),
        "values": values,
        "intervals": intervals,
    }


if __name__ == "__main__":
    sys.exit(guarded("release_model", main))
