"""The curves of a run: rows of a CSV file, and a picture of them."""

from __future__ import annotations

import csv
from pathlib import Path

from segdiff.data.writers import atomic, write_csv
from segdiff.metrics.labels import label
from segdiff.targets.base import Target

COLUMNS = ("step", "samples", "minutes", "lr", "loss", "grad_norm", "images_per_second")


class Curves:
    """`metrics.csv` of a run folder.

    Args:
        folder: of the run.
        target: says which validation scores there are, and which of them is drawn.
        keep_until: rows after this step are dropped, as a resumed run makes them anew.
    """

    def __init__(self, folder: Path, target: Target, keep_until: int = 0) -> None:
        self.path, self.monitor = folder / "metrics.csv", target.monitor
        self.columns = (*COLUMNS, *(f"val_{name}" for name in target.validation_scores))
        old = [row for row in _rows(self.path) if float(row["step"]) <= keep_until]
        write_csv(self.path, self.columns, old)

    def add(self, **values: float) -> None:
        """Append a row; columns that are not given stay empty."""
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self.columns, lineterminator="\n").writerow({k: f"{v:.6g}" for k, v in values.items()})

    def draw(self, path: Path) -> None:
        """A picture of loss and validation score over the samples seen."""
        from matplotlib.figure import Figure

        rows = read_curves(self.path)
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        shown = f"val_{self.monitor}"
        for axis, key, text in ((left, "loss", "training loss"), (right, shown, f"validation {label(self.monitor)}")):
            points = [(row["samples"], row[key]) for row in rows if key in row]
            if points:
                axis.plot(*zip(*points, strict=True), marker="o" if key == shown else None, markersize=3)
            axis.set(xlabel="samples seen", ylabel=text)
            axis.grid(alpha=0.3)
        if any(row.get("loss", 0) > 0 for row in rows):
            left.set_yscale("log")
        with atomic(path) as file:
            figure.savefig(file, dpi=110, format="png")


def read_curves(path: Path) -> list[dict[str, float]]:
    """Rows of a `metrics.csv`, without their empty cells; none where the file does not exist."""
    return [{k: float(v) for k, v in row.items() if v} for row in _rows(path)]


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        # A row that was cut when its process died has cells of None.
        return [row for row in csv.DictReader(file) if None not in row.values()]
