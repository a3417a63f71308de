"""Every arrow between rooms points one way: the table of imports, read from the source by `ast`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import segdiff

PACKAGE = Path(segdiff.__file__).parent
MAY_IMPORT = {
    "diffusion": set(),
    "metrics": set(),
    "data": set(),
    "targets": {"diffusion", "data", "metrics"},
    "models": {"diffusion", "targets"},
    "inference": {"diffusion", "models", "data", "targets"},
    "artifacts": {"diffusion", "models", "targets", "inference"},
    "workflows": {"diffusion", "models", "data", "artifacts", "inference", "metrics", "targets"},
    "training": {"diffusion", "models", "data", "artifacts", "inference", "metrics", "workflows", "targets"},
    "cli": {"diffusion", "models", "data", "artifacts", "inference", "metrics", "workflows", "training", "targets"},
}
# What every room may use of the package's root: errors, the reader of settings, and the version (for records).
EVERYBODY = {"errors", "settings", "version"}


def imported(source: str) -> set[str]:
    """Names under segdiff that a source imports anywhere, in functions and for type checking too."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                names.add("segdiff.(relative)")
            elif node.module == "segdiff":
                names |= {f"segdiff.{alias.name}" for alias in node.names}
            else:
                names.add(node.module or "")
    split = [name.split(".") for name in names]
    return {parts[1] if len(parts) > 1 else "(root)" for parts in split if parts[0] == "segdiff"}


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_room_imports_only_downwards(room):
    files = sorted((PACKAGE / room).rglob("*.py"))
    assert files, f"segdiff/{room} is empty or was renamed: update MAY_IMPORT"
    allowed = MAY_IMPORT[room] | EVERYBODY | {room}
    wrong = {
        str(file.relative_to(PACKAGE)): found
        for file in files
        if (found := imported(file.read_text(encoding="utf-8")) - allowed)
    }
    assert not wrong, f"{room} may import {sorted(MAY_IMPORT[room])} only: {wrong}"


def test_every_room_is_in_the_table():
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} - {"conf"}
    assert rooms == set(MAY_IMPORT)
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "errors.py", "settings.py", "version.py"}


def test_the_table_has_no_ring():
    left = dict(MAY_IMPORT)
    while left:
        free = [room for room, below in left.items() if not below & set(left)]
        assert free, f"a ring among {sorted(left)}"
        for room in free:
            del left[room]


def test_errors_import_nothing_of_ours():
    assert not imported((PACKAGE / "errors.py").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from segdiff.models.unet import UNet", {"models"}),
        ("import segdiff.models.unet as u, os", {"models"}),
        ("from segdiff import models", {"models"}),
        ("import segdiff", {"(root)"}),
        ("def f():\n    from segdiff.cli import main", {"cli"}),
        ("from ..models import unet", {"(relative)"}),
        ("import segdiffusion, numpy", set()),
        ("# import segdiff.models\nx = 'from segdiff.models import y'", set()),
    ],
)
def test_the_reader_of_imports(source, found):
    assert imported(source) == found
