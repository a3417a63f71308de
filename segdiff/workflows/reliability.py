"""The reliability diagram of a model on a data set, as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segdiff.data.writers import atomic
from segdiff.inference.prediction import Prediction
from segdiff.inference.temperature import temper
from segdiff.metrics.calibration import BINS, reliability


class ReliabilityDiagram:
    """Adds up images; draws how often pixels of each probability are object.

    Args:
        temperature: that the predictions were made with: both sides of it are drawn.
    """

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature
        self.table = np.zeros((BINS, 3))
        self.raw = np.zeros((BINS, 3))

    def add(self, truth: NDArray[np.uint8], prediction: Prediction) -> None:
        """One image; truth (R, M, H, W)."""
        for rater in truth:
            target = rater if prediction.probability.ndim == 3 else rater[0]
            self.table += reliability(prediction.probability, target)
            self.raw += reliability(temper(prediction.probability, 1 / self.temperature), target)

    def draw(self, path: str | Path) -> None:
        """Write the picture (its suffix says the format, such as .png)."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5, 5.5), layout="constrained")
        above, below = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
        above.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="as it should be")
        told = {"as the network says": self.raw}
        if self.temperature != 1:
            told[f"at temperature {self.temperature:g}, as delivered"] = self.table
        for label, table in told.items():
            seen = table[table[:, 0] > 0]
            gap = np.abs(table[:, 1] - table[:, 2]).sum() / max(table[:, 0].sum(), 1)
            x, y = seen[:, 1] / seen[:, 0], seen[:, 2] / seen[:, 0]
            above.plot(x, y, marker="o", markersize=4, label=f"{label}: ECE {gap:.3f}")
        above.set_ylabel("share of object")
        above.legend(frameon=False)
        centres = (np.arange(BINS) + 0.5) / BINS
        below.bar(centres, self.raw[:, 0] / max(self.raw[:, 0].sum(), 1), width=0.9 / BINS, color="0.5")
        below.set_ylabel("pixels")
        below.set_yscale("log")
        below.set_xlabel("probability of object")
        with atomic(path) as file:
            figure.savefig(file, format=Path(path).suffix.removeprefix(".") or "png", dpi=120)
