"""Stand-ins with known answers for what is slow to make."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from segdiff.artifacts.folder import Artifact
from segdiff.diffusion.sampling import Sampling
from segdiff.inference.options import ComputeOptions, InferenceSettings
from segdiff.inference.predictor import ModelInfo, ModelPredictor
from segdiff.models.build import build_segmenter
from segdiff.models.normalisation import Normalisation
from segdiff.models.segmenter import Segmenter
from segdiff.targets.build import build_target

# A network of a few thousand parameters with every kind of block.
TINY_MODEL = {
    "kind": "segdiff",
    "channels": 8,
    "channel_mult": [1, 2],
    "num_res_blocks": 1,
    "attention_factors": [2],
    "num_heads": 2,
    "norm_groups": 4,
    "rrdb_blocks": 1,
    "rrdb_channels": 8,
    "rrdb_growth": 4,
}

# The fast network at the smallest size.
TINY_FAST = {
    "kind": "fast",
    "encoder_channels": [8, 8, 16, 16],
    "encoder_blocks": [1, 1, 1, 1],
    "pyramid_channels": [16, 16, 16],
    "denoiser_channels": [8, 8, 16],
    "norm_groups": 4,
}

# (image (N, C, H, W), noise (N, M, H, W), chain) -> soft masks (N, M, H, W)
Answer = Callable[[Tensor, Tensor, int], Tensor]


def red(image: Tensor, noise: Tensor, chain: int) -> Tensor:
    """The first channel of the image, whatever the noise."""
    return image[:, :1]


def noisy(image: Tensor, noise: Tensor, chain: int) -> Tensor:
    """Image and noise, pixel by pixel; goes beyond [0, 1] here and there."""
    return image[:, :1] + 0.3 * noise


class FakeSegmenter(Segmenter):
    """Answers by a formula. `calls` remembers (chains, windows) of every network call."""

    def __init__(
        self, answer: Answer = red, image_channels: int = 3, mask_channels: int = 1, size_multiple: int = 8
    ) -> None:
        super().__init__()
        self.answer = answer
        self.image_channels, self.mask_channels = image_channels, mask_channels
        self.size_multiple = size_multiple
        self.calls: list[tuple[int, int]] = []
        self.modes: list[bool] = []

    def loss(self, image: Tensor, mask: Tensor, draw: Any) -> dict[str, Tensor]:
        raise AssertionError("a formula is not trained")

    def sample(self, image: Tensor, noise: Any, sampling: Sampling, group_size: int | None = None) -> Iterator[Tensor]:
        assert not any(side % self.size_multiple for side in image.shape[-2:])
        together = max(1, (group_size or 16) // len(image))
        for first in range(0, sampling.chains, together):
            chains = range(first, min(first + together, sampling.chains))
            self.calls.append((len(chains), len(image)))
            self.modes.append(self.training)
            yield torch.stack([self.answer(image, noise(chain, 0).to(image), chain) for chain in chains])


def make_predictor(answer: Answer = red, *, chains: int = 1, **settings: Any) -> ModelPredictor:
    """On the CPU, in float32, seeing pixels / 255; `settings` of segmenter, windows and scale."""
    network = {k: settings.pop(k) for k in ("image_channels", "mask_channels", "size_multiple") if k in settings}
    scale = settings.pop("scale", None)
    identity = settings.pop("identity", "fake@0")
    target = settings.pop("target", "mask")
    segmenter = FakeSegmenter(answer, **network)
    segmenter.target = build_target({"kind": target})
    channels = segmenter.image_channels
    return ModelPredictor(
        segmenter,
        Normalisation("fixed", [0.0] * channels, [255.0] * channels),
        Sampling(chains=chains),
        InferenceSettings(**{"window": 32, "overlap": 0.25, **settings}),
        ModelInfo(identity, scale or {}),
        ComputeOptions("cpu", "float32"),
    )


def make_artifact(seed: int = 0) -> Artifact:
    """A model of random weights with settings that are no defaults."""
    torch.manual_seed(seed)
    diffusion = {"schedule": "cosine", "steps": 10, "prediction": "v"}
    return Artifact(
        build_segmenter(TINY_MODEL, diffusion),
        TINY_MODEL,
        diffusion,
        Normalisation("fixed", (1, 2, 3), (4, 5, 6)),
        Sampling("ddim", times=(1, 5), chains=2),
        {"window": 64, "overlap": 0.25, "weights": "gaussian", "threshold": 0.4},
        {"mpp": 0.5, "object_diameter_px": None},
        {"data": "made up", "license": "cc0-1.0"},
    )


def change_config(folder: Path, **values: Any) -> None:
    """Change keys of the `config.yaml` of a model folder."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config.update(values)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def picture(height: int = 75, width: int = 90, seed: int = 0) -> np.ndarray:
    """Random colours: uint8 (height, width, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
