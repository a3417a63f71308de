"""Fixtures of model folders."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import make_artifact

from segdiff.artifacts.folder import save_artifact


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a model of random weights."""
    return save_artifact(make_artifact(), tmp_path / "model")
