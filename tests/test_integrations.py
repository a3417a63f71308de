"""What the scripts for other programs depend on in segdiff."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

from segdiff.cli.predict import build_parser
from segdiff.data.annotations.geojson import packed
from segdiff.workflows.outputs import OUTPUTS

FOLDER = Path(__file__).resolve().parents[1] / "integrations"
GROOVY = (FOLDER / "qupath" / "segdiff.groovy").read_text(encoding="utf-8")


def test_the_script_for_qupath_calls_predict_as_it_is():
    options = re.findall(r'"(--[a-z-]+)"', GROOVY)
    known = {name for action in build_parser()._actions for name in action.option_strings}
    assert {"--model", "--image", "--output-dir", "--outputs", "--mpp"} <= set(options) <= known
    assert '"--outputs", "outlines"' in GROOVY and "outlines" in OUTPUTS


def test_the_script_for_qupath_reads_what_predict_writes():
    plain = f"${{names[i]}}_{OUTPUTS['outlines'].suffix}"
    assert f'"{plain}"' in GROOVY and f'"{packed(plain)}"' in GROOVY


def test_the_script_for_qupath_is_balanced():
    code = re.sub(r'/\*.*?\*/|//[^\n]*|"(\\.|[^"\\])*"', "", GROOVY, flags=re.S)
    for opening, closing in ("()", "[]", "{}"):
        assert code.count(opening) == code.count(closing) > 0


def test_the_plugin_for_napari_declares_what_it_has():
    package = FOLDER / "napari-segdiff"
    tomllib = pytest.importorskip("tomllib", reason="is of Python 3.11 on")
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    manifest = yaml.safe_load((package / "napari_segdiff" / "napari.yaml").read_text())
    assert project["entry-points"]["napari.manifest"] == {manifest["name"]: "napari_segdiff:napari.yaml"}
    assert project["name"] == manifest["name"] and "segdiff" in project["dependencies"]
    for command in manifest["contributions"]["commands"]:
        module, _, function = command["python_name"].partition(":")
        source = (package / f"{module.replace('.', '/')}.py").read_text()
        assert function in {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
