"""Fixtures for all tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

# Several workers (pytest -n) fill the cores already: a thread each, before torch counts them, and in what they start.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from made import discs


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder `shared` beside the checkout, which holds data sets that may not ship with the project."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the data sets in {folder}, which are not part of the repository")
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder data set of six pictures of discs (`made.discs`), which no test may change."""
    return discs(tmp_path_factory.mktemp("discs"))


@pytest.fixture(scope="session")
def golden_file() -> Callable[[str], Path]:
    """Path of a small reference file that ships with the tests."""
    folder = Path(__file__).parent / "golden"
    return lambda name: folder / name


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """For tiny layers, which spend their time waiting for each other's threads, above all on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
