"""What contributors are told exists, and continuous integration runs on what pyproject.toml admits."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_every_path_exists():
    named = set(re.findall(r"`([\w./-]+/[\w./-]*)`", TEXT))
    assert len(named) > 20
    assert not [path for path in named if not (ROOT / path).exists()]


def test_every_table_exists():
    """Names in capitals stand in the file that the same row of the table names."""
    rows = [line for line in TEXT.splitlines() if line.startswith(("| a", "| what"))]
    for row in rows:
        sources = [ROOT / path for path in re.findall(r"`(segdiff/[\w./]+)`", row)]
        folders = [path / "__init__.py" for path in sources if path.is_dir()]
        text = "\n".join(path.read_text(encoding="utf-8") for path in [*folders, *filter(Path.is_file, sources)])
        for name in re.findall(r"`([A-Z]{4,})`", row):
            assert re.search(rf"^{name}\b", text, re.M), (name, row)


def test_it_is_one_screen():
    assert len(TEXT.splitlines()) <= 50


def test_continuous_integration_runs_on_each_python():
    wanted = re.search(r'^requires-python = ">=3\.(\d+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text(), re.M)
    least, beyond = (int(minor) for minor in wanted.groups())
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]
    assert jobs["suite"]["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in range(least, beyond)]
    commands = {step.get("run") for job in jobs.values() for step in job["steps"]}
    assert {".ci/run", ".ci/minimal"} <= commands
    assert f"--python 3.{least}" in (ROOT / ".ci" / "minimal").read_text(encoding="utf-8")


def test_a_commit_is_checked_as_make_check_does():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert [hook["entry"] for hook in hooks] == ["make check"]
