"""Fixtures of trainings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_runs import config, quiet

from segdiff.training.run import run_training


@pytest.fixture(scope="session")
def whole(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """An uninterrupted run of `runs.config`: its folder, which no test may change, and its result."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return folder, run_training(config(pictures), folder, say=quiet)
