"""Makes the folder of a model that has a name: weights of a run, or of several, facts, scores, card.

    python tools/release_model.py --model runs/nuclei/model --facts tools/cards/nuclei.yaml \\
        --scores benchmarks/results/nuclei_*.json --out segdiff/weights/nuclei
    python tools/release_model.py --model fine=runs/monuseg_fine/model coarse=runs/monuseg_coarse/model \\
        --facts tools/cards/monuseg.yaml --scores benchmarks/results/monuseg_folds.json --out models/monuseg

Facts are a YAML file: what `segdiff.artifacts.card.model_card` takes, less the scores; and "scored", a mapping from the
names of score files (without .json) to "of", what they are scores of, and "command", what made them; or to a list of
such, each with "begins", how the names of its images begin: scores of each organ, say. A file that holds several of
`segdiff evaluate --json` under "folds" counts as one over all their images. No figure is typed in.

Several make an ensemble; what is to be said of each of them alone, the facts have under "members", by name. Views
are then those of every member, and a calibration without a name is of what they say together.

With --panel ROOT (a folder of images and masks that may be shown to everybody) the card has a picture of what the model
says of the images that the facts name under "panel": {"names": [...], "split": ..., "text": ...}.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from segdiff.artifacts.folder import CARD, CONFIG, EXPORTS, PANEL, WEIGHTS, Artifact, load_artifact, save_artifact
from segdiff.artifacts.members import EnsembleArtifact, is_ensemble, load_ensemble, save_ensemble
from segdiff.artifacts.whole import whole_folder
from segdiff.cli.main import guarded
from segdiff.data.datasets import build_dataset
from segdiff.errors import ConfigError
from segdiff.inference.protocol import Predictor
from segdiff.metrics.intervals import bootstrap_interval
from segdiff.training.panels import draw_panels
from segdiff.workflows.load import load_predictor

FILES = {CARD, CONFIG, WEIGHTS, EXPORTS, PANEL}
SHOWN = ("dice", "iou", "aji", "pq", "ece", "ece_objects")
# What is told of an ensemble and of each member.
OF_ALL = ("license", "data")
# What the run itself knows.
FROM_RUN = ("steps", "minutes", "images", "seed", "begun_with", "steps_before", "minutes_before")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--model", nargs="+", required=True, metavar="[NAME=]FOLDER", help="trained; several: with names"
    )
    parser.add_argument("--facts", type=Path, required=True, help="YAML file of facts")
    parser.add_argument("--scores", type=Path, nargs="*", default=[], help="JSON files of scores")
    parser.add_argument("--calibration", nargs="+", default=[], metavar="[NAME=]FILE", help="of benchmarks/folds.py")
    parser.add_argument("--views", type=int, help="dihedral views that the model takes unless told otherwise")
    parser.add_argument("--panel", type=Path, metavar="ROOT", help="data whose images the card may show")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; a model there is replaced")
    args = parser.parse_args()
    facts = yaml.safe_load(args.facts.read_text(encoding="utf-8"))
    about = facts.pop("scored", {})
    panel = facts.pop("panel", None)
    of_members = facts.pop("members", {})
    folders = dict(_named(one) for one in args.model)
    if len(folders) < len(args.model) or (len(folders) > 1) is ("" in folders):
        raise ConfigError("--model: one folder, or several as NAME=FOLDER, each with a name of its own")
    if unknown := sorted(set(of_members) - set(folders)):
        raise ConfigError(f"{args.facts} tells of the member {unknown[0]}, which --model does not name")
    if args.panel is not None and not (panel or {}).get("names"):
        raise ConfigError(f"--panel: {args.facts} names no picture (panel: names)")
    fitted = {name: _fitted(path) for name, path in map(_named, args.calibration)}
    if unknown := sorted(set(fitted) - set(folders) - {""}):
        raise ConfigError(f"--calibration: there is no model {unknown[0]}")
    if args.panel is not None:
        facts["pictures"] = [{"file": PANEL, "text": panel["text"]}]
    facts["scores"] = [score for path in args.scores for score in _scores(path, about)]
    made = {name: _ready(folder, args.views, fitted.get(name, {})) for name, folder in folders.items()}
    known = FILES | set(folders) | set(load_ensemble(args.out).members if is_ensemble(args.out) else ())
    if args.out.is_dir() and (others := sorted({path.name for path in args.out.iterdir()} - known)):
        raise ConfigError(f"{args.out} holds {others[0]}, which is not of a model: choose another folder")
    with whole_folder(args.out.resolve()) as new:
        if "" in made:
            save_artifact(_telling(made[""], facts), new)
        else:
            about_all = {key: facts[key] for key in OF_ALL if key in facts}
            members = {name: _telling(one, {**about_all, **of_members.get(name, {})}) for name, one in made.items()}
            save_ensemble(EnsembleArtifact(members, fitted.get("", {}), facts), new)
        if args.panel is not None:
            _draw(load_predictor(new, device="cpu"), args.panel, panel, new / PANEL)
    print((args.out / "README.md").read_text(encoding="utf-8"))
    return 0


def _named(argument: str) -> tuple[str, Path]:
    name, _, folder = argument.partition("=")
    return (name, Path(folder)) if re.fullmatch(r"\w+", name) and folder else ("", Path(argument))


def _fitted(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))["calibration"])


def _ready(folder: Path, views: int | None, fitted: Mapping[str, Any]) -> Artifact:
    """The trained model with the settings that it is to have."""
    artifact = load_artifact(folder)
    if views is not None:
        artifact.sampling = replace(artifact.sampling, views=views)
    return replace(artifact, inference={**artifact.inference, **fitted})


def _telling(artifact: Artifact, facts: Mapping[str, Any]) -> Artifact:
    """The model with these facts, and with what its run knows, for its card."""
    own = {name: artifact.training[name] for name in FROM_RUN if name in artifact.training}
    return replace(artifact, training={**facts, **own})


def _draw(predictor: Predictor, root: Path, panel: Mapping[str, Any], path: Path) -> None:
    dataset = build_dataset("folder", root, panel["split"])
    if missing := [name for name in panel["names"] if name not in dataset.names]:
        raise ConfigError(f"{root} has no image {missing[0]} in its split {panel['split']}")
    samples = [dataset[dataset.names.index(name)] for name in panel["names"]]
    draw_panels([(sample, predictor.predict(sample.image)) for sample in samples], path)


def _scores(path: Path, about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The scores of a file: one for each description that the facts have of it."""
    if path.stem not in about:
        raise ConfigError(f"{path}: the facts do not say what {path.stem} is of (scored: ...)")
    content = json.loads(path.read_text(encoding="utf-8"))
    parts: Sequence[Mapping[str, Any]] = content.get("folds") or [content]
    rows = [row for part in parts for row in part["per_image"]]
    described = about[path.stem]
    scores = []
    for of in described if isinstance(described, list) else [described]:
        own = [row for row in rows if row["name"].startswith(of.get("begins", ""))]
        if not own:
            raise ConfigError(f"{path} has no image whose name begins with {of['begins']}")
        head = {"on": of["of"], "command": of["command"], "protocol": parts[0]["protocol"], "images": len(own)}
        scores.append({**head, **_means(own)})
    return scores


def _means(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over images and their intervals."""
    values, intervals = {}, {}
    for name in SHOWN:
        found = [row[name] for row in rows if row.get(name) is not None]
        if found:
            values[name] = round(sum(found) / len(found), 4)
            low_high = bootstrap_interval(found)
            if low_high:
                intervals[name] = [round(value, 4) for value in low_high]
    return {"values": values, "intervals": intervals}


if __name__ == "__main__":
    sys.exit(guarded("release_model", main))
