"""The documentation is whole: it builds without a warning, and what it names exists."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from segdiff.cli.main import COMMANDS
from segdiff.training.configs import compose, conf_folder

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocstrings", reason="needs mkdocs-material and mkdocstrings")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr[-3000:]
    api = (tmp_path / "site" / "api" / "index.html").read_text()
    assert 'id="segdiff.load"' in api and 'id="segdiff.train"' in api and "trainer.max_minutes" in api
    # Nothing is fetched from elsewhere by who reads it.
    assert not re.findall(r'(?:src|href)="https?://[^"]*\.(?:js|css|woff2?)"', api)


def test_every_page_is_in_the_table_of_contents():
    nav = yaml.safe_dump(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    missing = [page for page in PAGES[1:] if page.relative_to(ROOT / "docs").as_posix() not in nav]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_and_settings_exist(page):
    """Every `segdiff COMMAND --option` and every `group=choice`, `key=value` of a training that a page shows."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    words = {path.parent.name for path in conf_folder().glob("*/*.yaml")}
    for line in text.splitlines():
        for command, rest in re.findall(r"segdiff ([a-z][a-z-]+)((?: [^`|]*)?)", line):
            if command not in COMMANDS or command == "train":
                assert command in COMMANDS or not re.search(r" --\w", rest), line
                continue
            shown = subprocess_help(command)
            for option in re.findall(r"(?<=\s)--[a-z][a-z-]*", rest.partition("#")[0]):
                assert f"{option} " in shown or f"{option}\n" in shown or f"{option}]" in shown, (option, line)
    for group, choice in re.findall(rf"\b({'|'.join(sorted(words))})=([a-z][\w]*)\b", text):
        assert (conf_folder() / group / f"{choice}.yaml").is_file(), f"{group}={choice}"
    every = compose(["dataset=folder", "dataset.root=x", "tracking=[local,wandb,tensorboard]"])
    for key in re.findall(r"\b((?:trainer|optimizer|run|tracking|model)(?:\.\w+)+)=", text):
        node = every
        for part in key.split("."):
            assert part in node, key
            node = node[part]


def subprocess_help(command, cache={}):  # noqa: B006  one help text for each command
    if command not in cache:
        cache[command] = subprocess.check_output(
            [sys.executable, "-m", "segdiff.cli.main", command, "--help"], text=True
        )
    return cache[command]


def test_the_paper_is_cited():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    (paper,) = citation["references"]
    assert "2112.00390" in str(paper["identifiers"]) and paper["title"].startswith("SegDiff")
