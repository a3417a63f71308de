"""Pictures of validation images: input, truth, probability, uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segdiff.data.datasets.base import Sample
from segdiff.data.writers import atomic
from segdiff.inference.prediction import Prediction

SIDE = 512  # pixels of the longest side in a panel


def draw_panels(pairs: Sequence[tuple[Sample, Prediction]], path: Path) -> None:
    """One row an image, written to `path` (PNG)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.1 * len(pairs)), layout="constrained")
    axes = figure.subplots(len(pairs), 4, squeeze=False)
    for row, (sample, prediction) in zip(axes, pairs, strict=True):
        step = max(1, max(sample.image.shape[:2]) // SIDE)
        truth = sample.mask[0].any(0)
        shown: list[tuple[str, NDArray[np.generic] | None, float]] = [
            (sample.name, np.clip(sample.image, 0, 255).astype(np.uint8), 1.0),
            ("truth", truth, 1.0),
            ("probability", prediction.probability, 1.0),
            (
                "uncertainty",
                prediction.uncertainty,
                0.5,
            ),  # the largest deviation that numbers in [0, 1] can have
        ]
        for axis, (title, picture, top) in zip(row, shown, strict=True):
            axis.axis("off")
            if picture is not None:  # one chain has no uncertainty
                axis.set_title(title[:40], fontsize=9)
                axis.imshow(picture[::step, ::step], cmap="gray" if top == 1.0 else "inferno", vmin=0, vmax=top)
    with atomic(path) as file:
        figure.savefig(file, dpi=90, format="png")
