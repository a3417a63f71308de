from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from segdiff import __version__
from segdiff.cli import main as entry
from segdiff.errors import ConfigError, TrainingError

HEAVY = (
    "torch",
    "albumentations",
    "monai",
    "hydra",
    "matplotlib",
    "numpy",
    "skimage",
    "PIL",
    "tifffile",
    "wandb",
)


@pytest.fixture
def command(monkeypatch):
    """Put a function in the place of `segdiff predict`."""

    def install(function):
        monkeypatch.setattr(entry.importlib, "import_module", lambda name: SimpleNamespace(main=function))

    return install


def raising(error):
    def main(argv):
        raise error

    return main


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(argv, capsys):
    assert entry.main(argv) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in ("train", "predict", "evaluate", "usage: segdiff"))


def test_version(capsys):
    assert entry.main(["--version"]) == 0
    assert capsys.readouterr().out == f"segdiff {__version__}\n"


@pytest.mark.parametrize(
    "argv",
    [["--help"], ["--version"], ["predict", "--help"], ["evaluate", "--help"], ["predict", "--nonsense"]],
)
def test_help_and_version_import_nothing_heavy(argv):
    """The reason why they answer at once; a time would depend on the machine."""
    code = (
        "import sys; from segdiff.cli.main import main; main(sys.argv[1:]); "
        f"print('imported:', [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "imported: []"


@pytest.mark.parametrize(("name", "hint"), [("predcit", "did you mean predict?"), ("xyz", "train, predict, evaluate")])
def test_unknown_command(name, hint, capsys):
    assert entry.main([name]) == 2
    said = capsys.readouterr().err
    assert hint in said and said.count("\n") == 1


def test_options_reach_the_command(command):
    got = []
    command(lambda argv: got.append(argv))
    assert entry.main(["predict", "--image", "a b.png"]) == 0
    assert got == [["--image", "a b.png"]]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("steps is\nwrong"), 2),
        (PermissionError(13, "Permission denied", "out"), 2),
        (TrainingError("the loss is not finite"), 1),
    ],
)
def test_errors_are_one_line(command, capsys, monkeypatch, error, code):
    monkeypatch.delenv("SEGDIFF_DEBUG", raising=False)
    command(raising(error))
    assert entry.main(["predict"]) == code
    said = capsys.readouterr()
    assert said.err.startswith("segdiff predict: error: ") and said.err.count("\n") == 1 and said.out == ""


def test_debug_shows_the_traceback(command, monkeypatch):
    monkeypatch.setenv("SEGDIFF_DEBUG", "1")
    command(raising(ConfigError("wrong")))
    with pytest.raises(ConfigError):
        entry.main(["predict"])


def test_interruption(command, capsys):
    command(raising(KeyboardInterrupt()))
    assert entry.main(["predict"]) == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (None, 0), (4, 4), ("text", 1)])
def test_exits_become_codes(command, code, expected):
    command(raising(SystemExit(code)))
    assert entry.main(["predict"]) == expected


def test_what_is_not_ours_is_a_bug_and_shows_itself(command):
    command(raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        entry.main(["predict"])
