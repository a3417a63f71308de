"""The folder of a run: which run it is, and where each of its files lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CONFIG, SPLIT, CHECKPOINT = "config.yaml", "split.json", "checkpoints/last.pt"


@dataclass(frozen=True)
class RunFolder:
    """Where a run leaves its files.

    Args:
        path: of the folder; it need not exist.
        identity: of the run (`segdiff.training.identity`); a checkpoint of another one is not resumed.
    """

    path: Path
    identity: str = ""

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / CONFIG

    @property
    def split(self) -> Path:
        """The names of the images that train and of those that validate."""
        return self.path / SPLIT

    @property
    def environment(self) -> Path:
        """Versions, machine, command and minutes of all calls."""
        return self.path / "environment.json"

    @property
    def curves(self) -> Path:
        """The picture of the curves; `metrics.csv` beside it has the numbers."""
        return self.path / "curves.png"

    @property
    def last(self) -> Path:
        """The checkpoint to go on from."""
        return self.path / CHECKPOINT

    @property
    def best(self) -> Path:
        """The weights of the best validation."""
        return self.path / "checkpoints" / "best.pt"

    @property
    def panels(self) -> Path:
        """The folder of pictures of validation images."""
        return self.path / "panels"

    @property
    def scores(self) -> Path:
        """What the last validation found."""
        return self.path / "validation.json"

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.path / "model"
