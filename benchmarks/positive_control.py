"""Are chains joint samples of a mask? On pictures of discs whose law is known exactly, so that the right answer is.

    python benchmarks/positive_control.py --recipes few_steps plain plain_03 --seeds 0 1 2 --json FILE

Trains each recipe anew (or goes on with what lies in --runs), draws samples for pictures that were not trained on, and
scores them beside the law itself, independent pixels and one shared threshold, both of the exact probabilities.

Columns: `count sd`, `area sd`: root of the mean variance over samples, divided by that of the law; `dispersion`:
E d(S, S') / E d(S, Y), d = 1 - Dice; `count cover`, `area cover`: chance under the law that the 90 % interval of the
samples holds the number (ties shared, so that the law itself has 0.9); `CRPS`: expected under the law; `GED`: unbiased,
with as many draws of the law as raters. Brackets: 95 % over pictures, of the mean over seeds.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from discs import SIZE, Discs, Scene, count_objects, scene
from numpy.typing import NDArray

from segdiff.data.loader import TrainingSamples
from segdiff.data.writers import write_json
from segdiff.diffusion.noise import NoiseField
from segdiff.diffusion.samplers import Denoised
from segdiff.diffusion.sampling import Sampling
from segdiff.diffusion.schedules import build_schedule
from segdiff.metrics.intervals import bootstrap_interval, bootstrap_ratio_interval
from segdiff.metrics.predictive import coverage, crps, nominal_coverage
from segdiff.metrics.raters import ged
from segdiff.metrics.sample_dispersion import sample_distances
from segdiff.metrics.shared_threshold import even_thresholds, threshold_samples
from segdiff.models.build import build_segmenter
from segdiff.models.denoising import sampler_of
from segdiff.models.segmenter import Segmenter
from segdiff.training.configs import compose
from segdiff.training.loop import Trainer
from segdiff.training.run_folder import RunFolder
from segdiff.training.settings import OptimizerSettings, TrainerSettings

TEST, TRAIN = 1, 100  # seeds of the series of pictures: that of testing, and the first of training
PICTURES = 100_000  # of a training: no run here sees one twice
TOGETHER = 20  # pictures that are sampled at a time

MODEL = {
    "kind": "fast",
    "encoder_channels": [16, 24, 32, 32],
    "encoder_blocks": [1, 1, 1, 1],
    "pyramid_channels": [32, 32, 32],
    "denoiser_channels": [32, 64, 64],
}
# As trainings do by default, and without all that makes chains alike.
FEW_STEPS = compose(["diffusion=few_steps", "dataset.root=unused"])["diffusion"]
PLAIN = {**FEW_STEPS, "dice_weight": 0.0, "self_conditioning": 0.0, "recycling": 0.0}
DDPM = Sampling("ddpm", steps=10, variance="large")
DDIM = Sampling("ddim", steps=2, clip=True)
# name: (model, diffusion, sampling); a name after "@" in --recipes takes the place of the sampling
RECIPES: dict[str, tuple[Mapping[str, Any], Mapping[str, Any], Sampling]] = {
    "few_steps": (MODEL, FEW_STEPS, DDIM),
    "plain": ({**MODEL, "direct_path": False}, PLAIN, DDPM),
    "plain_03": ({**MODEL, "direct_path": False}, {**PLAIN, "signal_scale": 0.3}, DDPM),
}
EXACT = {"exact_01": 0.1, "exact_03": 0.3, "exact_1": 1.0}  # the exact denoiser at a signal scale: not trained
SAMPLINGS = {
    "ddpm10": DDPM,
    "ddpm10small": replace(DDPM, variance="small"),
    "ddpm25": replace(DDPM, steps=25),
    "ddpm100": replace(DDPM, steps=100),
    "ddpm100small": replace(DDPM, steps=100, variance="small"),
    "ddim2": DDIM,
    "ddim10": replace(DDIM, steps=10),
    "ddim100": replace(DDIM, steps=100),
}


def train(recipe: str, seed: int, steps: int, folder: Path) -> Segmenter:
    """Train a recipe, or go on with it, and give it with its averaged weights."""
    model, diffusion, _ = RECIPES[recipe]
    torch.manual_seed(seed)
    segmenter = build_segmenter(model, diffusion)
    samples = TrainingSamples(Discs(PICTURES, TRAIN + seed), _normalise, _as_it_is, seed, cache_mb=0)
    settings = TrainerSettings(max_steps=steps, batch_size=16, validate_every=0, precision="float32")
    optimizer = OptimizerSettings(lr=1.5e-3, weight_decay=0.01, warmup_steps=100, decay="cosine", clip_norm=1.0)
    folder.mkdir(parents=True, exist_ok=True)
    run = RunFolder(folder, json.dumps([model, diffusion, steps, seed]))
    trainer = Trainer(segmenter, samples, settings, optimizer, run)
    if run.last.exists():
        trainer.resume()
    trainer.run()
    segmenter.load_state_dict(trainer.best_weights())
    return segmenter.eval()


def _normalise(image: NDArray[Any]) -> NDArray[np.float32]:
    return (np.asarray(image, np.float32) - 100) / 60


def _as_it_is(image: Any, mask: Any, seed: int) -> tuple[Any, Any]:
    return image, mask


def chains(segmenter: Segmenter, scenes: Sequence[Scene], sampling: Sampling) -> Iterator[NDArray[np.bool_]]:
    """Draw the masks of each picture in turn: bool (K, 64, 64)."""
    for first in range(0, len(scenes), TOGETHER):
        images = np.stack([_normalise(one.image).transpose(2, 0, 1) for one in scenes[first : first + TOGETHER]])
        fields = [NoiseField(0, first + i) for i in range(len(images))]

        def noise(chain: int, draw: int, fields: list[NoiseField] = fields) -> torch.Tensor:
            return torch.from_numpy(np.stack([f.rectangle(chain, draw, 0, 0, SIZE, SIZE) for f in fields]))

        groups = segmenter.sample(torch.from_numpy(images), noise, sampling, group_size=10 * TOGETHER)
        masks = torch.cat([group[:, :, 0] > 0.5 for group in groups]).numpy()
        yield from masks.transpose(1, 0, 2, 3)


def exact_chains(scenes: Sequence[Scene], sampling: Sampling, scale: float) -> Iterator[NDArray[np.bool_]]:
    """Draw as `chains` does, with the exact denoiser in the place of a trained one: what is wrong is the sampler's."""
    schedule = build_schedule("cosine", 100, scale)
    times = sampling.visited(schedule.steps)
    for number, one in enumerate(scenes):
        field = NoiseField(0, number)

        def noise(k: int, field: NoiseField = field) -> torch.Tensor:
            maps = [field.rectangle(chain, k + 1, 0, 0, SIZE, SIZE) for chain in range(sampling.chains)]
            return torch.from_numpy(np.stack(maps))

        def denoise(x_t: torch.Tensor, t: int, previous: torch.Tensor | None, one: Scene = one) -> Denoised:
            return Denoised(one.posterior_mean(x_t, float(schedule.alpha[t]), float(schedule.sigma[t])))

        x_0 = sampler_of(sampling)(denoise, noise(-1), schedule, times, noise=noise, clip=sampling.clip)
        yield (x_0[:, 0] > 0).numpy()


def baselines(one: Scene, generator: np.random.Generator, count: int) -> dict[str, NDArray[np.bool_]]:
    """Draw from the law, and from its exact probabilities pixel by pixel and with one threshold."""
    p = one.marginal()
    return {
        "the law": one.draw(generator, count),
        "independent pixels": generator.random((count, *p.shape)) < p,
        "shared threshold": threshold_samples(p, even_thresholds(count)),
    }


def score(one: Scene, samples: NDArray[np.bool_], truths: NDArray[np.bool_]) -> dict[str, float]:
    """Score the samples of one picture; expectations over the truth are exact but for distances, over `truths`."""
    within, between = sample_distances(samples, truths)
    found = {"within": within, "between": between, "ged": ged(samples, truths, biased=False)}
    numbers = {
        "count": (np.array([count_objects(mask) for mask in samples]), one.count_law()),
        "area": (samples.sum((1, 2)), one.area_law()),
    }
    for name, (values, law) in numbers.items():
        support = np.arange(law.size)
        mean = float(support @ law)
        found |= {
            f"{name}_bias": float(values.mean()) - mean,
            f"{name}_variance": float(values.var(ddof=1)),
            f"{name}_law_variance": float((support - mean) ** 2 @ law),
            f"{name}_crps": float(crps(values, support) @ law),
            f"{name}_cover": float(coverage(values, support, ties="shared") @ law),
            f"{name}_cover_inside": float(coverage(values, support) @ law),
        }
    return found


def summarise(seeds: Sequence[Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    """Means of the rows of each seed, one row a picture, with the interval over pictures of the mean over seeds."""
    names = list(seeds[0][0])
    columns = {name: np.array([[row[name] for row in rows] for rows in seeds]) for name in names}
    ratios = {
        "dispersion": ("within", "between", 1.0),
        "count_sd": ("count_variance", "count_law_variance", 0.5),
        "area_sd": ("area_variance", "area_law_variance", 0.5),
    }
    found: dict[str, Any] = {}
    for name, (above, below, power) in ratios.items():
        top, bottom = columns[above], columns[below]
        interval = bootstrap_ratio_interval(top.mean(0).tolist(), bottom.mean(0).tolist())
        found[name] = {
            "mean": float((top.sum() / bottom.sum()) ** power),
            "low_high": None if interval is None else [end**power for end in interval],
            "seeds": [float((t.sum() / b.sum()) ** power) for t, b in zip(top, bottom, strict=True)],
        }
    for name in names:
        if "variance" not in name and name not in ("within", "between"):
            values = columns[name]
            interval = bootstrap_interval(values.mean(0).tolist())
            found[name] = {
                "mean": float(values.mean()),
                "low_high": None if interval is None else list(interval),
                "seeds": values.mean(1).tolist(),
            }
    return found


SHOWN = {
    "count sd": "count_sd",
    "area sd": "area_sd",
    "dispersion": "dispersion",
    "count cover": "count_cover",
    "area cover": "area_cover",
    "count CRPS": "count_crps",
    "area CRPS": "area_crps",
    "GED": "ged",
}


def line(what: str, summary: Mapping[str, Any]) -> str:
    """Give one row of the table."""
    cells = []
    for name in SHOWN.values():
        digits = 1 if name == "area_crps" else 3
        low, high = summary[name]["low_high"]
        cells.append(f"{summary[name]['mean']:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]")
    return f"| {what} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--recipes", nargs="*", default=[], help=f"of {', '.join([*RECIPES, *EXACT])}; NAME@{'|'.join(SAMPLINGS)}"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--samples", type=int, default=39)
    parser.add_argument("--runs", default="runs/positive_control")
    parser.add_argument("--json")
    args = parser.parse_args()
    scenes = [scene(i, TEST) for i in range(args.images)]
    generator = np.random.default_rng(0)
    truths = [one.draw(generator, args.samples) for one in scenes]
    nominal = nominal_coverage(args.samples)
    print(f"{args.images} pictures, {args.samples} samples each, nominal coverage {nominal:.3f}\n")
    print("| samples of | " + " | ".join(SHOWN) + " |\n" + "| --- " * (1 + len(SHOWN)) + "|")
    table: dict[str, Any] = {}

    def show(name: str, seeds: Sequence[Sequence[Mapping[str, float]]]) -> None:
        table[name] = summarise(seeds)
        print(line(name, table[name]), flush=True)

    drawn = [baselines(one, generator, args.samples) for one in scenes]
    for name in drawn[0]:
        show(name, [[score(one, d[name], t) for one, d, t in zip(scenes, drawn, truths, strict=True)]])
    for chosen in args.recipes:
        recipe, _, how = chosen.partition("@")
        sampling = replace(
            SAMPLINGS[how] if how else DDPM if recipe in EXACT else RECIPES[recipe][2], chains=args.samples
        )
        rows = []
        for seed in [0] if recipe in EXACT else args.seeds:
            if recipe in EXACT:
                found = exact_chains(scenes, sampling, EXACT[recipe])
            else:
                segmenter = train(recipe, seed, args.steps, Path(args.runs) / f"{recipe}_seed{seed}")
                found = chains(segmenter, scenes, sampling)
            rows.append([score(one, s, t) for one, s, t in zip(scenes, found, truths, strict=True)])
        show(chosen, rows)
    if args.json:
        about = {"command": sys.argv, "machine": platform.processor() or platform.machine(), "torch": torch.__version__}
        settings = {name: getattr(args, name) for name in ("seeds", "steps", "images", "samples")}
        write_json(args.json, {**about, **settings, "nominal_coverage": nominal, "table": table})


if __name__ == "__main__":
    main()
