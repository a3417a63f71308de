"""The reliability diagram of a model on a data set, as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segdiff.data.writers import atomic
from segdiff.errors import ConfigError
from segdiff.inference.prediction import Prediction
from segdiff.metrics.calibration import BINS, reliability

FORMATS = (".png", ".pdf", ".svg")


class ReliabilityDiagram:
    """Adds up images; draws how often pixels of each probability are object, before and after the temperature.

    Args:
        path: of the picture; its suffix says the format.
    Raises:
        ConfigError: a suffix that is no format of a picture.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in FORMATS:
            raise ConfigError(f"{path}: give a name that ends with {', '.join(FORMATS)}")
        self.table = np.zeros((BINS, 3))
        self.raw = np.zeros((BINS, 3))

    def add(self, truth: NDArray[np.uint8], prediction: Prediction) -> None:
        """One image; truth (R, M, H, W)."""
        for rater in truth:
            target = rater if prediction.probability.ndim == 3 else rater[0]
            self.table += reliability(prediction.probability, target)
            raw = prediction.probability if prediction.raw_probability is None else prediction.raw_probability
            self.raw += reliability(raw, target)

    def draw(self) -> None:
        """Write the picture."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5, 5.5), layout="constrained")
        above, below = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
        above.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="as it should be")
        told = {"as the network says": self.raw}
        if not np.array_equal(self.raw, self.table):
            told["at its temperature, as delivered"] = self.table
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
        with atomic(self.path) as file:
            figure.savefig(file, format=self.path.suffix.lower().removeprefix("."), dpi=120)
