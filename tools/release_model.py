"""Makes the folder of a model that has a name: weights of a run, facts, scores, card.

    python tools/release_model.py --model runs/nuclei/model --facts tools/cards/nuclei.yaml \\
        --scores benchmarks/results/nuclei_*.json --out segdiff/weights/nuclei

Facts are a YAML file: what `segdiff.artifacts.card.model_card` takes, less the scores; and "scored", a mapping from the
names of score files (without .json) to "of", what they are scores of, and "command", what made them. A file that holds
several of `segdiff evaluate --json` under "folds" counts as one over all their images. No figure is typed in.

With --panel ROOT (a folder of images and masks that may be shown to everybody) the card has a picture of what the model
says of the images that the facts name under "panel": {"names": [...], "split": ..., "text": ...}.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from segdiff.artifacts.folder import CARD, CONFIG, EXPORTS, PANEL, WEIGHTS, Artifact, load_artifact, save_artifact
from segdiff.artifacts.whole import whole_folder
from segdiff.cli.main import guarded
from segdiff.data.datasets import build_dataset
from segdiff.errors import ConfigError
from segdiff.metrics.intervals import bootstrap_interval
from segdiff.training.panels import draw_panels
from segdiff.workflows.load import predictor_of

FILES = {CARD, CONFIG, WEIGHTS, EXPORTS, PANEL}
SHOWN = ("dice", "iou", "aji", "pq", "ece", "ece_objects")
# What the run itself knows.
FROM_RUN = ("steps", "minutes", "images", "seed", "begun_with", "steps_before", "minutes_before")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="folder of the trained model")
    parser.add_argument("--facts", type=Path, required=True, help="YAML file of facts")
    parser.add_argument("--scores", type=Path, nargs="*", default=[], help="JSON files of scores")
    parser.add_argument("--calibration", type=Path, help="JSON file of benchmarks/folds.py")
    parser.add_argument("--views", type=int, help="dihedral views that the model takes unless told otherwise")
    parser.add_argument("--panel", type=Path, metavar="ROOT", help="data whose images the card may show")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; a model there is replaced")
    args = parser.parse_args()
    facts = yaml.safe_load(args.facts.read_text(encoding="utf-8"))
    about = facts.pop("scored", {})
    panel = facts.pop("panel", None)
    if args.panel is not None and not (panel or {}).get("names"):
        raise ConfigError(f"--panel: {args.facts} names no picture (panel: names)")
    artifact = load_artifact(args.model)
    own = {name: artifact.training[name] for name in FROM_RUN if name in artifact.training}
    scores = [_score(path, about) for path in args.scores]
    if args.views is not None:
        artifact.sampling = replace(artifact.sampling, views=args.views)
    if args.calibration is not None:
        fitted = json.loads(args.calibration.read_text(encoding="utf-8"))["calibration"]
        artifact.inference = {**artifact.inference, **fitted}
    if args.panel is not None:
        facts["pictures"] = [{"file": PANEL, "text": panel["text"]}]
    if args.out.is_dir() and (others := sorted({path.name for path in args.out.iterdir()} - FILES)):
        raise ConfigError(f"{args.out} holds {others[0]}, which is not of a model: choose another folder")
    with whole_folder(args.out.resolve()) as new:
        save_artifact(replace(artifact, training={**facts, **own, "scores": scores}), new)
        if args.panel is not None:
            _draw(load_artifact(new), args.panel, panel, new / PANEL)
    print((args.out / "README.md").read_text(encoding="utf-8"))
    return 0


def _draw(artifact: Artifact, root: Path, panel: Mapping[str, Any], path: Path) -> None:
    predictor, dataset = predictor_of(artifact, device="cpu"), build_dataset("folder", root, panel["split"])
    if missing := [name for name in panel["names"] if name not in dataset.names]:
        raise ConfigError(f"{root} has no image {missing[0]} in its split {panel['split']}")
    samples = [dataset[dataset.names.index(name)] for name in panel["names"]]
    draw_panels([(sample, predictor.predict(sample.image)) for sample in samples], path)


def _score(path: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    if path.stem not in about:
        raise ConfigError(f"{path}: the facts do not say what {path.stem} is of (scored: ...)")
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
    of = about[path.stem]
    described = {"on": of["of"], "command": of["command"]}
    return {
        **described,
        "protocol": parts[0]["protocol"],
        "images": len(rows),
        "values": values,
        "intervals": intervals,
    }


if __name__ == "__main__":
    sys.exit(guarded("release_model", main))
