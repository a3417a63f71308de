"""Record what models give, with hashes, and compare: does a redesign change anything, to the last bit?

    git switch main   && python tools/guard.py --work runs/guard --record runs/guard/before.json
    git switch branch && python tools/guard.py --work runs/guard --compare runs/guard/before.json

`nuclei` and `models/monuseg` of the checkout, and tiny models of each kind that the first call trains and the next ones
reuse (they lie in the work folder; `--train-again` trains them anew and compares these weights and scores), predict a
dozen made pictures: grey, coloured, with alpha, 16-bit, float, larger than a window, smaller than one, even. Masks,
probabilities, uncertainties, overlays, label maps, tables and outlines are hashed as files; what the Python interface
gives as arrays; and the scores of an evaluation. The hashes hold on one machine: kernels differ in last bits.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

import segdiff
from segdiff.cli.main import main as command_line

REPOSITORY = Path(__file__).resolve().parents[1]
FAST = ["model.encoder_channels=[8,8,16,16]", "model.encoder_blocks=[1,1,1,1]", "model.pyramid_channels=[16,16,16]"]
DENOISER = ["model.denoiser_channels=[8,8,16]"]
NORMS = ["model.norm_groups=4"]
TINY = {
    "segdiff_tiny": ["model=segdiff_tiny"],
    "fast": ["model=fast", *FAST, *DENOISER, *NORMS, "model.mask_channels=2", "inference.channels=[mask,core]"],
    "fast_direct": ["model=fast_direct", *FAST, *DENOISER, *NORMS],
    "smp": ["model=smp", "model.encoder=mobileone_s0"],
}
COMMON = [
    *("dataset=folder", "device=cpu", "augmentation.crop=64", "augmentation.scale=[1,1]", "trainer.precision=float32"),
    *("trainer.batch_size=4", "trainer.ema=0.8", "trainer.validate_every=2", "trainer.panels=1", "trainer.max_steps=4"),
    *("optimizer.lr=3e-3", "optimizer.warmup_steps=2", "sampling.chains=2", "trainer.validation.chains=1"),
    *("inference.window=64", "seed=1"),
]
MACHINE = ["--device", "cpu", "--precision", "float32", "--runtime", "torch"]
# What a score file holds beside scores: versions, seconds, and descriptions that a redesign may word differently.
SCORES = ("metrics", "tolerance", "unit", "n", "empty_images", "per_image", "protocol", "split", "threshold", "seed")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", required=True, type=Path, help="folder for pictures, tiny models and outputs")
    parser.add_argument("--train-again", action="store_true", help="train tiny models anew: are weights still equal?")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--record", type=Path, metavar="JSON", help="write hashes there")
    what.add_argument("--compare", type=Path, metavar="JSON", help="compare with these")
    args = parser.parse_args()
    began = time.perf_counter()
    found = dict(gather(args.work, args.train_again))
    print(f"{len(found)} hashes in {time.perf_counter() - began:.0f} s")
    if args.record:
        args.record.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        return 0
    recorded = json.loads(args.compare.read_text(encoding="utf-8"))
    changed = [name for name in {**recorded, **found} if recorded.get(name) != found.get(name)]
    for name in changed:
        kind = "new" if name not in recorded else "missing" if name not in found else "differs"
        print(f"{kind}: {name}")
    print("equal to the last bit" if not changed else f"{len(changed)} of {len({**recorded, **found})} hashes differ")
    return 1 if changed else 0


def gather(work: Path, train_again: bool) -> Iterator[tuple[str, str]]:
    """All hashes by name: models trained here, files of `segdiff predict`, arrays, scores."""
    work.mkdir(parents=True, exist_ok=True)
    data = make_data(work / "data")
    for name, options in TINY.items():
        if not (work / name / "model").is_dir():
            train(options, data, work / name)
        run_folder = work / name
        if train_again:
            run_folder = work / f"{name}_again"
            shutil.rmtree(run_folder, ignore_errors=True)
            train(options, data, run_folder)
        yield from of_training(name, run_folder)
    tiny: dict[str, list[Any]] = {name: [work / name / "model"] for name in TINY}
    tiny["ensemble"] = [work / "segdiff_tiny" / "model", work / "smp" / "model"]
    shipped: dict[str, list[Any]] = {"nuclei": ["nuclei"], "monuseg": [REPOSITORY / "models" / "monuseg"]}
    pictures = make_pictures(work / "pictures")
    for name, models in {**tiny, **shipped}.items():
        few = ["--chains", "2", "--steps", "2"] if name in shipped else ["--chains", "3", "--steps", "2"]
        yield from of_files(name, models, pictures, work / "out", few)
        yield from of_arrays(name, models, few)
        yield from of_scores(name, models, data, work / "scores.json", few)


def train(options: list[str], data: Path, folder: Path) -> None:
    """Train a tiny model for a few seeded steps; the folder is a run folder."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        segdiff.train(*COMMON, *options, f"dataset.root={data}", folder=folder)


def of_training(name: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Weights, and what the last validation said."""
    yield f"{name}/trained/weights", digest((folder / "model" / "model.safetensors").read_bytes())
    yield f"{name}/trained/validation", of_json(folder / "validation.json")


def of_files(name: str, models: list[Any], pictures: Path, out: Path, few: list[str]) -> Iterator[tuple[str, str]]:
    """Every file that `segdiff predict` writes, in three manners of being asked."""
    manners = {
        "objects": ["--instances"],
        "seed": ["--seed", "7", "--threshold", "0.3"],
        "scaled": ["--scale", "0.5", "--temperature", "1.5", "--instances"],
    }
    for manner, options in manners.items():
        shutil.rmtree(out, ignore_errors=True)
        images = [pictures] if manner == "objects" else [pictures / "colour.png", pictures / "grey16.png"]
        argv = ["predict", "--image", *map(str, images), "--output-dir", str(out), *few, *MACHINE, *options]
        run([*argv, *(part for model in models for part in ("--model", str(model)))])
        for path in sorted(out.iterdir()):
            if path.suffix != ".json":
                yield f"{name}/{manner}/{path.name}", digest(path.read_bytes())
        record = json.loads((out / "prediction.json").read_text(encoding="utf-8"))
        for image in record["images"]:
            kept = {key: image.get(key) for key in ("status", "error", "shape", "remarks", "outputs")}
            yield f"{name}/{manner}/{image['stem']} in the record", digest(json.dumps(kept, sort_keys=True).encode())


def of_arrays(name: str, models: list[Any], few: list[str]) -> Iterator[tuple[str, str]]:
    """What the Python interface gives, with all that it can be asked to keep."""
    from dataclasses import replace

    predictor = segdiff.load(models if len(models) > 1 else models[0], "cpu", "float32", "torch")
    sampling = replace(predictor.sampling, chains=int(few[1]), steps=int(few[3]), times=None)
    image = colourful(70, 90, seed=5)
    manners: dict[str, dict[str, Any]] = {
        "kept": {"keep_chains": True, "keep_raw": True},
        "windows": {"windows": (64, 0.5), "seed": 3, "batch_size": 1},
        "grid": {"grid": (64, 64), "temperature": 0.7},
    }
    for manner, options in manners.items():
        said = predictor.predict(image, sampling=sampling, **options)
        fields = ("probability", "uncertainty", "chains", "raw_probability", "core", "core_chains")
        for field in fields:
            array = getattr(said, field)
            if array is not None:
                yield f"{name}/python {manner}/{field}", digest(array.dtype.str, str(array.shape), array.tobytes())
        facts = (said.threshold, said.chain_threshold, said.seed, said.model.partition("@")[0], said.remarks)
        yield f"{name}/python {manner}/facts", digest(repr(facts))
        labels = said.instances()
        confidence = said.confidence(labels)
        told = b"none" if confidence is None else confidence.tobytes()
        yield f"{name}/python {manner}/instances", digest(labels.tobytes(), told)


def of_scores(name: str, models: list[Any], data: Path, file: Path, few: list[str]) -> Iterator[tuple[str, str]]:
    """The scores of `segdiff evaluate`, those of objects among them."""
    argv = ["evaluate", "--dataset", "folder", "--root", str(data), "--split", "val", "--json", str(file), *few]
    argv += [*MACHINE, *(part for model in models for part in ("--model", str(model)))]
    for metrics in ("all", "dice,aji,pq,ece_objects"):
        run([*argv, "--metrics", metrics])
        yield f"{name}/scores {metrics}", of_json(file)


def of_json(file: Path) -> str:
    """Of a score file, less what differs from run to run."""
    content = json.loads(file.read_text(encoding="utf-8"))
    content["per_image"] = [{k: v for k, v in row.items() if k != "seconds"} for row in content["per_image"]]
    return digest(json.dumps({key: content.get(key) for key in SCORES}, sort_keys=True).encode())


def run(argv: list[str]) -> None:
    """A command of segdiff; what it prints is shown only where it fails."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = command_line(argv)
    if code not in (0, 3):
        print(said.getvalue(), file=sys.stderr)
        raise SystemExit(f"segdiff {' '.join(argv)} gave {code}")


def digest(*parts: bytes | str) -> str:
    """SHA-256 of the parts, in order."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part.encode() if isinstance(part, str) else part)
    return whole.hexdigest()[:24]


def colourful(height: int, width: int, seed: int, ground: tuple[int, ...] = (235, 215, 230)) -> np.ndarray:
    """Dark violet discs on a pale ground, some of them touching: uint8 (height, width, 3)."""
    return scene(height, width, seed, ground)[0]


def scene(height: int, width: int, seed: int, ground: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """A picture and the numbers of its discs, uint16 (height, width)."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), ground, np.float64) + rng.normal(0, 6, (height, width, 3))
    labels = np.zeros((height, width), np.uint16)
    rows, columns = np.mgrid[:height, :width]
    for number in range(1, max(2, height * width // 700) + 1):
        y, x, radius = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(5, 10)
        inside = ((rows - y) ** 2 + (columns - x) ** 2 < radius**2) & (labels == 0)
        labels[inside] = number
        image[inside] = np.array([95, 60, 140]) + rng.normal(0, 10, (int(inside.sum()), 3))
    return image.clip(0, 255).astype(np.uint8), labels


def make_data(root: Path) -> Path:
    """A folder data set of numbered discs: four pictures to train, two to validate."""
    for split, seeds in (("train", range(4)), ("val", range(4, 6))):
        for seed in seeds:
            image, labels = scene(72, 96, seed, (235, 215, 230))
            write(root / split / "images" / f"{seed}.png", image)
            write(root / split / "masks" / f"{seed}.png", labels)
    return root


def make_pictures(folder: Path) -> Path:
    """A dozen files of the kinds that are met."""
    colour = colourful(90, 110, 10)
    grey = 255 - colourful(80, 100, 11)[..., 0]
    made: Mapping[str, np.ndarray] = {
        "colour.png": colour,
        "large.png": colourful(150, 290, 12),
        "grey8.png": grey,
        "grey16.png": grey.astype(np.uint16) * 16,
        "alpha.png": np.dstack([colour, np.full(colour.shape[:2], 255, np.uint8)]),
        "tiny.png": colourful(20, 31, 13),
        "tall.png": colourful(130, 40, 14),
        "even.png": np.full((64, 64, 3), 243, np.uint8),
        "dark.png": colour // 6,
        "noise.png": np.random.default_rng(15).integers(0, 256, (64, 70, 3), dtype=np.uint8),
        "float.tif": grey.astype(np.float32) / 255,
        "colour16.tif": colour.astype(np.uint16) * 257,
    }
    for name, array in made.items():
        write(folder / name, array)
    (folder / "broken.png").write_bytes((folder / "colour.png").read_bytes()[:900])
    return folder


def write(path: Path, array: np.ndarray) -> None:
    """An image file of the array, by its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, array)
    else:
        Image.fromarray(array).save(path)


if __name__ == "__main__":
    sys.exit(main())
