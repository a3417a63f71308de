"""What is kept of a step whose loss or gradient is not finite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segdiff.training.checkpoint import save_checkpoint

ADVICE = "try a lower optimizer.lr, optimizer.clip_norm=0.1 or trainer.precision=float32"
NAMED = 3  # parameters in the message


def gradient_norms(module: nn.Module) -> dict[str, float]:
    """The L2 norm of each parameter's gradient; those that are not finite first, then the largest."""
    norms = {name: float(p.grad.norm()) for name, p in module.named_parameters() if p.grad is not None}
    finite = {name: torch.isfinite(torch.tensor(norm)).item() for name, norm in norms.items()}
    return dict(sorted(norms.items(), key=lambda item: (finite[item[0]], -item[1] if finite[item[0]] else 0.0)))


def keep_evidence(
    folder: Path, step: int, batch: dict[str, Tensor], names: Sequence[str], loss: float, module: nn.Module
) -> str:
    """Write `folder/not_finite_step_N.pt` (tensors and plain values) and say in one line what happened.

    The weights of that step are in the newest checkpoint or a few steps after it: the optimizer has not moved them.
    """
    norms = gradient_norms(module)
    path = folder / f"not_finite_step_{step}.pt"
    state: dict[str, Any] = {
        "step": step,
        "loss": loss,
        "names": list(names),
        "gradient_norms": norms,
        "model": module.state_dict(),
        **{f"batch_{key}": value for key, value in batch.items()},
    }
    save_checkpoint(state, path)
    first = ", ".join(f"{name} {norm:.3g}" for name, norm in list(norms.items())[:NAMED])
    return (
        f"step {step}: the loss is {loss:.3g} on {', '.join(names)}; gradients: {first}; {ADVICE}; "
        f"batch, weights and all gradient norms are in {path}"
    )
