"""`segdiff COMMAND ...`: finds the command and turns errors into exit codes.

    0    done
    1    something went wrong that is not the user's mistake
    2    a user's mistake: one line on stderr (SEGDIFF_DEBUG=1 shows the traceback)
    3    some of several inputs failed, the others are done
    130  interrupted

Nothing heavy is imported before a command really runs, so that help and version answer at once.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Callable, Sequence

from segdiff.errors import REMEDIES, SegdiffError, UserError
from segdiff.version import __version__

COMMANDS = {
    "check-data": "look a data set over before training on it",
    "train": "train a model; options are those of conf/, as dataset.root=DIR",
    "predict": "masks, probabilities, uncertainty and overlays of images",
    "evaluate": "scores of a model on a data set",
    "join": "one of several parts: scores of evaluate, tables of predict",
    "score": "scores of masks made by any tool",
    "report": "a page to look at predictions, scores or a training with",
    "compare": "the paired difference between two files of scores",
    "convert": "masks and annotations from one format into another",
    "models": "the models that come with segdiff",
    "export": "write a model for other runtimes (ONNX)",
    "import-official": "make a model folder of a checkpoint of the published code",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `segdiff` with these arguments (those of the process if None) and return the exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if argv[0] in ("-V", "--version"):
        print(f"segdiff {__version__}")
        return 0
    name = argv[0]
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(COMMANDS)}"
        print(f"segdiff: error: no command {name!r}; {hint}", file=sys.stderr)
        return 2
    return guarded(f"segdiff {name}", lambda: importlib.import_module(_module(name)).main(argv[1:]))


def guarded(prog: str, call: Callable[[], int | None]) -> int:
    """The exit code of a call; its errors become one line on stderr that begins with `prog`."""
    try:
        return call() or 0
    except SystemExit as stop:  # argparse after --help
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        print(f"\n{prog}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone: `segdiff evaluate ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (SegdiffError, OSError) as error:
        if os.environ.get("SEGDIFF_DEBUG", "0") not in ("", "0"):
            raise
        print(f"{prog}: error: {' '.join(_said(error).split())}", file=sys.stderr)
        return 2 if isinstance(error, UserError | OSError) else 1


def _said(error: SegdiffError | OSError) -> str:
    if isinstance(error, SegdiffError) or error.strerror is None:
        return str(error)
    where = "" if error.filename is None else f"{error.filename}: "
    remedy = REMEDIES.get(error.errno or 0)
    return f"{where}{error.strerror}" + (f"; {remedy}" if remedy else "")


def _module(command: str) -> str:
    return f"segdiff.cli.{command.replace('-', '_')}"


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: segdiff COMMAND [OPTIONS]",
            "",
            "Image segmentation with diffusion models.",
            "",
            *lines,
            "",
            "segdiff COMMAND --help tells the options of a command; segdiff --version the version.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
