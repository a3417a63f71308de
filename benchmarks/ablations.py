"""What each choice of the fast network's training is worth, on fold 0 of MoNuSeg: short trainings, one seed.

    python benchmarks/ablations.py --commands                  # prints how each is trained
    python benchmarks/ablations.py --root DIR --models 'runs/ablations/{name}/model' --json FILE

600 steps of 8 crops each, the last weights, scored on the six validation images of fold 0 under the protocol `paper`,
threshold 0.5, before any temperature, with 8 chains of 1 and of 2 steps. Differences below 0.005 of Dice are noise.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from segdiff.data.datasets import build_dataset
from segdiff.data.protocols import get_protocol
from segdiff.data.writers import write_json
from segdiff.metrics.table import Scoring
from segdiff.workflows.evaluate import evaluate
from segdiff.workflows.load import load_predictor

TWO = "diffusion.noise_draws=2"
BASE = f"{TWO} diffusion.recycling=0"
# name: (what it is, overrides of experiment=fast_monuseg)
RUNS = {
    "shipped": ("as shipped: 4 noise draws, recycling 0.5, self-conditioning 0.5, scale 0.1", ""),
    "no_self": ("without self-conditioning", "diffusion.self_conditioning=0"),
    "draws_2": ("2 noise draws", TWO),
    "draws_2_no_direct": ("2 noise draws, without the direct path", f"{TWO} model.direct_path=false"),
    "draws_2_lr_3": ("2 noise draws, learning rate 3e-3", f"{TWO} optimizer.lr=3e-3"),
    "base": ("2 noise draws, no recycling", BASE),
    "base_scale_003": ("the same, signal scale 0.03", f"{BASE} diffusion.signal_scale=0.03"),
    "base_scale_03": ("the same, signal scale 0.3", f"{BASE} diffusion.signal_scale=0.3"),
    "direct": ("G with a direct head, no diffusion", "model=fast_direct"),
}
COMMAND = (
    "python tools/train.py experiment=fast_monuseg dataset.root=DIR trainer.max_steps=600 run.dir=runs/ablations/{name}"
)
NAMES = ("dice", "ece", "brier", "diversity")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--commands", action="store_true")
    parser.add_argument("--root")
    parser.add_argument("--models", help="folders of the models, with {name} in it")
    parser.add_argument("--json")
    args = parser.parse_args()
    if args.commands or not (args.root and args.models):
        for name, (_, overrides) in RUNS.items():
            print(f"{COMMAND.format(name=name)} {overrides}".rstrip())
        return
    protocol, dataset = get_protocol("paper", "monuseg"), build_dataset("monuseg", args.root, "val")
    print("| training | steps x chains | " + " | ".join(NAMES) + " |\n" + "| --- " * (2 + len(NAMES)) + "|")
    rows: dict[str, Any] = {}
    for name, (what, _) in RUNS.items():
        predictor = load_predictor(args.models.format(name=name), device="cpu")
        for steps in (1, 2) if name != "direct" else (1,):
            sampling = replace(predictor.sampling, steps=steps, chains=8)
            scores = evaluate(
                predictor, dataset, protocol, sampling=sampling, scoring=Scoring(NAMES), temperature=1.0, threshold=0.5
            )
            means = {key: scores["metrics"][key]["mean"] for key in NAMES}
            rows[f"{name}, {steps}"] = means
            cells = ["" if means[key] is None else f"{means[key]:.4f}" for key in NAMES]
            shown = f"{steps} x 8" if name != "direct" else "one pass"
            print(f"| {what} | {shown} | " + " | ".join(cells) + " |", flush=True)
    if args.json:
        write_json(args.json, rows)


if __name__ == "__main__":
    main()
