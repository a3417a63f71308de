"""Models that come with segdiff, by name: inside the package, or in a folder of its repository."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from segdiff.errors import ArtifactError, MissingError

PACKAGE = Path(__file__).resolve().parents[1] / "weights"
CHECKOUT = Path(__file__).resolve().parents[2] / "models"
REPOSITORY_FOLDER = "models/"


@dataclass(frozen=True)
class Shipped:
    """A model that has a name.

    Attributes:
        name: what `--model` and `segdiff.load` take.
        inside: it is in the package; else it is in the repository only, because its licence is another one.
        summary: in a few words.
    """

    name: str
    inside: bool
    summary: str

    @property
    def folder(self) -> Path:
        """Where it is, if it is there."""
        return (PACKAGE if self.inside else CHECKOUT) / self.name

    @property
    def there(self) -> bool:
        return (self.folder / "config.yaml").is_file()

    def facts(self) -> Mapping[str, Any]:
        """What its folder tells of its training: license, data, scores, ...; empty where it is not here.

        Raises:
            ArtifactError: the folder's configuration cannot be read.
        """
        if not self.there:
            return {}
        try:
            content = yaml.safe_load((self.folder / "config.yaml").read_text(encoding="utf-8"))
            return dict(content["training"])
        except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError) as error:
            raise ArtifactError(f"{self.folder} is damaged: its config.yaml tells nothing of a training") from error

    def megabytes(self) -> float:
        """Of its weights, or of all its members'; 0 where it is not here."""
        return sum(file.stat().st_size for file in self.folder.rglob("model.safetensors")) / 1e6


SHIPPED = (
    Shipped("nuclei", True, "nuclei in stained tissue and fluorescence, 10 to 70 pixels wide"),
    Shipped("monuseg", False, "nuclei in H&E at 40x seen at half size, as the published MoNuSeg scores are made"),
)


def shipped_folder(name: str) -> Path | None:
    """The folder of a model that comes with segdiff; None for other names.

    Raises:
        MissingError: it is one of ours, and not here; the message says where to get it.
    """
    found = next((model for model in SHIPPED if model.name == name), None)
    if found is None:
        return None
    if found.there:
        return found.folder
    if found.inside:
        raise MissingError(f"the model {name} is missing from this installation: install segdiff again")
    raise MissingError(
        f"the model {name} is not in the package (its licence forbids commercial use): take the folder "
        f"{REPOSITORY_FOLDER}{name} of the source repository and give its path"
    )


def known_names() -> str:
    """The names, for messages."""
    return ", ".join(model.name for model in SHIPPED)
