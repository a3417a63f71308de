"""Fixtures of commands."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from fakes import TINY_MODEL

from segdiff.artifacts.folder import Artifact, save_artifact
from segdiff.diffusion.sampling import Sampling
from segdiff.models.build import build_segmenter
from segdiff.models.normalisation import Normalisation

DIFFUSION = {"schedule": "linear", "steps": 100, "prediction": "x_0"}


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder, with random weights of which every layer says something."""
    torch.manual_seed(0)
    segmenter = build_segmenter(TINY_MODEL, DIFFUSION)
    with torch.no_grad():  # the last layer begins at zero: without this, every probability is one half
        for parameter in segmenter.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    artifact = Artifact(
        segmenter,
        TINY_MODEL,
        DIFFUSION,
        Normalisation("per_image"),
        Sampling(sampler="ddpm", steps=3, chains=3),
        {"window": 32, "overlap": 0.25, "weights": "gaussian", "threshold": 0.5},
        {"mpp": 0.5, "object_diameter_px": None},
    )
    return save_artifact(artifact, tmp_path_factory.mktemp("models") / "tiny")
