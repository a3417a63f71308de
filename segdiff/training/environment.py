"""What a run needs to be repeated: versions, commit, machine, command."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from segdiff.workflows.record import versions


def environment(seed: int, minutes: float, processes: int = 1) -> dict[str, Any]:
    """Describe where and how a run is made, as plain values.

    Args:
        seed: of the run.
        minutes: of all its calls.
        processes: that train together.
    """
    return {
        "versions": versions(),
        "commit": _commit(),
        "machine": {
            "system": platform.platform(),
            "processor": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
        "processes": processes,
        "seed": seed,
        "command": sys.argv,
        "minutes": round(minutes, 2),
    }


def _commit() -> str | None:
    """Return the commit of the checkout that the package lies in; None elsewhere."""
    here = Path(__file__).resolve().parents[2]
    try:
        out = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return out.stdout.strip() or None
