"""One model whose weights are the mean of those of several that began with the same weights.

    python tools/average_models.py runs/a/model runs/b/model ... --out runs/mean/model

Trainings that go on from one model (`model.init`) can end so near each other that the mean of their weights does better
than each, at the cost of one (Wortsman et al. 2022, arXiv:2203.05482); those from scratch cannot. What is not a weight
is that of the first. The averages of batch norm are averaged, too.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch

from segdiff.artifacts.folder import Artifact, load_artifact, save_artifact
from segdiff.cli.main import guarded
from segdiff.errors import ConfigError


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", type=Path, nargs="+", help="folders of trained models")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; a model there is replaced")
    args = parser.parse_args()
    artifacts = [load_artifact(path) for path in args.models]
    first = artifacts[0]
    _check(artifacts)
    states = [artifact.segmenter.state_dict() for artifact in artifacts]
    mean = {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in states[0].items()
    }
    first.segmenter.load_state_dict(mean)
    averaged = [artifact.identity for artifact in artifacts]
    save_artifact(replace(first, training={**first.training, "averaged": averaged}), args.out)
    print(f"mean of {', '.join(averaged)}: {args.out}")
    return 0


def _check(artifacts: list[Artifact]) -> None:
    """Raise ConfigError unless they are two or more of one network with one beginning."""
    if len({artifact.identity for artifact in artifacts}) < max(2, len(artifacts)):
        raise ConfigError("give two different models or more")
    first = artifacts[0]
    for other in artifacts[1:]:
        for name in ("model", "normalisation"):
            if getattr(first, name) != getattr(other, name):
                raise ConfigError(f"{first.identity} and {other.identity} differ in {name}: they have no mean")
        mine, theirs = (one.training.get("begun_with") for one in (first, other))
        if mine is None or mine != theirs:
            raise ConfigError(
                f"{first.identity} began with {mine or 'nothing'}, {other.identity} with {theirs or 'nothing'}: only "
                "models that went on from one and the same have a mean that is of use"
            )


if __name__ == "__main__":
    sys.exit(guarded("average_models", main))
