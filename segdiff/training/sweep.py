"""Several trainings of one command: which of them are done, which failed, and a table of all.

Each training of a sweep leaves a small file in its folder when it ends, so that the table does not depend on who
ran it: another process, another machine, or the same command on another day.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segdiff.data.writers import write_csv, write_json

RESULT, SWEEP, TABLE = "result.json", "sweep.json", "results.csv"
NOT_SCORES = ("run", "status", "monitor", "error")


def write_result(folder: Path, status: str, **values: Any) -> None:
    """Say in the run's folder how it ended: "finished", "cut" (max_minutes) or "failed", with scores or an error."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / RESULT, {"status": status, **values})


def finished_result(folder: Path) -> dict[str, Any] | None:
    """What a run that is finished left; None where there is none, or it is not finished."""
    result = _read(folder / RESULT)
    return result if result.get("status") == "finished" else None


def begin_sweep(folder: Path, overrides: Sequence[str]) -> None:
    """Remember the command of a sweep, so that the same command finds its folder again."""
    write_json(folder / SWEEP, {"overrides": sorted(overrides)})


def find_sweep(base: Path, overrides: Sequence[str]) -> Path | None:
    """The newest sweep under `base` that the same overrides began; None where there is none."""
    wanted = {"overrides": sorted(overrides)}
    found = [path.parent for path in base.glob(f"*/{SWEEP}") if _read(path) == wanted]
    return max(found, key=lambda folder: folder.name, default=None)


def forget_empty(folder: Path, base: Path) -> None:
    """Remove the folder of a sweep, under `base`, in which no run ever began: its command was not understood."""
    if {path.name for path in folder.iterdir()} <= {SWEEP}:
        shutil.rmtree(folder)
        if folder.parent == base and not any(base.iterdir()):
            base.rmdir()


def collect(sweep: Path) -> list[dict[str, Any]]:
    """A row for each run of a sweep, by name: status, scores and error. A run that died without a word is "cut"."""
    found = []
    for folder in sorted({path.parent for name in (RESULT, "config.yaml") for path in sweep.glob(f"*/{name}")}):
        result = {"status": "cut", **_read(folder / RESULT)}
        found.append({"run": folder.name, **result})
    columns = ("run", "status", *scores_in(found), "error")
    return [{key: row.get(key) for key in columns} for row in found]


def scores_in(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the scores that rows have, in order; of runs that all failed, there may be none."""
    return list(dict.fromkeys(key for row in rows for key in row if key not in NOT_SCORES))


def score_of(result: Mapping[str, Any]) -> float:
    """Return the validation score of a finished run, nan where there is none; results from before named no monitor."""
    value = result[result.get("monitor", "dice")]
    return float("nan") if value is None else float(value)


def write_table(sweep: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """The rows as results.csv in the sweep's folder."""
    write_csv(sweep / TABLE, list(rows[0]), rows)
    return sweep / TABLE


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
