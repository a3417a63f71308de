"""Checkpoints: tensors and plain values, written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from segdiff.data.writers import atomic
from segdiff.errors import DataError


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write under a temporary name, then rename: the file before it stays until this one is whole.

    Raises:
        OutputError: it cannot be written, as on a full disk; nothing is left of it.
    """
    with atomic(path, durable=True) as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # torch makes another error of that of the file
                raise error.__context__ from error
            raise


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read with `weights_only=True`: a file that carries code is refused before any of it runs.

    Raises:
        DataError: not a checkpoint of ours.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for a broken or hostile file
        raise DataError(f"{path} is not a checkpoint that can be read ({type(error).__name__})") from error
    if not isinstance(state, dict) or "step" not in state:
        raise DataError(f"{path} is not a checkpoint of segdiff training")
    return state
