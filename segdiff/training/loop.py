"""The loop: steps over numbered samples, moving average, validation, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from segdiff.data.loader import TrainingSamples, batches
from segdiff.diffusion.noise import TrainingDraw
from segdiff.errors import ConfigError, DataError, TrainingError
from segdiff.inference.batching import is_out_of_memory
from segdiff.metrics.labels import label
from segdiff.models.device import autocast, resolve_precision
from segdiff.models.segmenter import Segmenter
from segdiff.training.checkpoint import load_checkpoint, save_checkpoint
from segdiff.training.curves import Curves
from segdiff.training.distributed import Processes
from segdiff.training.ema import MovingAverage
from segdiff.training.estimate import Estimate
from segdiff.training.evidence import ADVICE, keep_evidence
from segdiff.training.interrupt import Interruption
from segdiff.training.progress import Progress
from segdiff.training.run_folder import RunFolder
from segdiff.training.settings import OptimizerSettings, TrainerSettings, learning_rate, total_steps
from segdiff.training.tracking import Tracking

Validate = Callable[[Segmenter, int], dict[str, float]]
SAVE_SECONDS = 120.0  # time between checkpoints that no validation asked for


@dataclass
class State:
    """Where a training is: all that a checkpoint holds beside tensors."""

    step: int = 0
    minutes: float = 0.0
    best_score: float = float("-inf")
    best_step: int = 0
    validations_since_best: int = 0
    blank_validations: int = 0  # in a row


@dataclass
class Trainer:
    """Trains a segmenter and leaves checkpoints and curves in a folder.

    Args:
        segmenter: on its device; its parameters are changed in place.
        samples: training sample n for every n >= 0; their seed and numbers determine every random number.
        folder: gets `metrics.csv`, `curves.png`, `checkpoints/{last,best}.pt`; a checkpoint of another identity is
            not resumed.
        validate: (segmenter of averaged weights, step) to a dict with the validation scores of its target and `blank`
            (every mask is empty or full, against the truth); None for no validation.
        tracking: told the curves as well (`segdiff.training.tracking`).
        processes: this one among several (`segdiff.training.distributed`); all run the same lines, the first writes.
    """

    segmenter: Segmenter
    samples: TrainingSamples
    settings: TrainerSettings
    optimizer_settings: OptimizerSettings
    folder: RunFolder
    validate: Validate | None = None
    processes: Processes = field(default_factory=Processes)
    tracking: Tracking = field(default_factory=Tracking)
    state: State = field(default_factory=State, init=False)

    def __post_init__(self) -> None:
        self.device = next(self.segmenter.parameters()).device
        self.precision = resolve_precision(self.device, self.settings.precision)
        wanted = self.settings.channels_last
        if wanted is True or (wanted == "auto" and self.device.type == "cuda"):
            self.segmenter.to(memory_format=torch.channels_last)
        self._loss = self.processes.parallel(self.segmenter, self.device)
        self.average = MovingAverage(self.segmenter, self.settings.ema)
        options = self.optimizer_settings
        self.optimizer = torch.optim.AdamW(
            self.segmenter.parameters(), lr=options.lr, betas=options.betas, weight_decay=options.weight_decay
        )
        self.steps = total_steps(self.settings, self.samples.of_pass)
        self._speed = 0.0
        self.saved_step: int | None = None  # of the newest checkpoint

    def resume(self) -> None:
        """Go on from `checkpoints/last.pt`.

        Raises:
            TrainingError: it is of a run with another configuration.
        """
        saved = load_checkpoint(self.folder.last)
        if not {"identity", "model", "average", "optimizer"} <= saved.keys():
            raise DataError(f"{self.folder.last} is not a checkpoint to go on from: choose another run.name")
        if saved["identity"] != self.folder.identity:
            raise TrainingError(f"{self.folder.last} is of a run with other settings: choose another run.name")
        self.segmenter.load_state_dict(saved["model"])
        self.average.model.load_state_dict(saved["average"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if "best_dice" in saved:  # its former name, where -1 stood for none
            saved["best_score"] = saved["best_dice"] if saved["best_dice"] >= 0 else self.state.best_score
        self.state = State(**{name: saved.get(name, value) for name, value in vars(self.state).items()})
        self.saved_step = self.state.step

    def run(self) -> State:
        """Train until the end, `max_minutes` or lost patience.

        Ctrl-C and SIGTERM wait for the step (and its validation) to end, save and raise KeyboardInterrupt.
        """
        if self.finished:
            return self.state
        writes = self.processes.writes
        curves = Curves(self.folder.path, self.segmenter.target, self.state.step) if writes else None
        progress = Progress(self.steps, self.state.step, silent=not writes)
        try:
            with Interruption() as interruption:
                self._run(curves, progress, interruption)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            size = self.settings.batch_size // self.processes.world
            raise ConfigError(
                f"memory does not suffice for a step of {size} sample(s): give a smaller trainer.batch_size, "
                "augmentation.crop or model"
            ) from error
        finally:
            progress.close()
            if curves is not None:
                curves.draw(self.folder.curves)
        return self.state

    def _run(self, curves: Curves | None, progress: Progress, interruption: Interruption) -> None:
        state, settings = self.state, self.settings
        began, minutes_before = time.monotonic(), state.minutes
        saved = logged = step_began = began
        estimate = Estimate(self.steps - state.step)
        logged_step = state.step
        mine = (settings.workers, self.processes.rank, self.processes.world)
        for batch in batches(self.samples, settings.batch_size, state.step, self.steps, *mine):
            loss, grad_norm = self._step(batch)
            state.step += 1
            now = time.monotonic()
            state.minutes = minutes_before + (now - began) / 60
            done = state.step == self.steps
            if state.step % settings.log_every == 0 or done:
                self._speed = (state.step - logged_step) * settings.batch_size / max(now - logged, 1e-9)
                self._log(curves, loss, grad_norm)
                logged_step, logged = state.step, now
            progress.step(state.step, partial(self._describe, loss))
            if told := estimate.step(now - step_began, self.device):
                progress.say(told)
            due = bool(settings.validate_every) and state.step % settings.validate_every == 0
            if self.validate is not None and (due or done):
                self._validate(curves, progress)
                logged += time.monotonic() - now  # a validation's time is no training time
                state.minutes = minutes_before + (time.monotonic() - began) / 60
            out_of_time = settings.max_minutes is not None and time.monotonic() - began > settings.max_minutes * 60
            interrupted = self.processes.any(interruption.asked)
            stop = self.processes.any(out_of_time) or interrupted or self.lost_patience
            if due or done or stop or time.monotonic() - saved > SAVE_SECONDS:
                with interruption.held():
                    self.save()
                saved = time.monotonic()
            if interrupted:
                self.processes.wait()  # whoever left before it was saved would make torchrun end the others
                raise KeyboardInterrupt
            if self.lost_patience:
                progress.say(f"no better {label(self.monitor)} in {settings.patience} validations: stopped")
            if stop:
                break
            step_began = time.monotonic()

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train (otherwise `max_minutes` ended the call)."""
        return self.state.step >= self.steps or self.lost_patience

    @property
    def monitor(self) -> str:
        """The validation score that chooses the best weights."""
        return self.segmenter.target.monitor

    @property
    def lost_patience(self) -> bool:
        """Return whether too many validations brought nothing better (`trainer.patience`)."""
        patience = self.settings.patience
        return patience is not None and self.state.validations_since_best >= patience

    def save(self) -> None:
        """Write `checkpoints/last.pt`; nothing in a process that does not write."""
        if not self.processes.writes:
            return
        tensors = {
            "model": self.segmenter.state_dict(),
            "average": self.average.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        save_checkpoint({**vars(self.state), **tensors, "identity": self.folder.identity}, self.folder.last)
        self.saved_step = self.state.step

    def best_weights(self) -> dict[str, Tensor]:
        """The averaged weights of the best validation, or the newest where nothing was validated."""
        if self.state.best_step and self.folder.best.exists():
            best = load_checkpoint(self.folder.best)
            if (best["step"], best.get("identity")) == (
                self.state.best_step,
                self.folder.identity,
            ):  # else of another time
                return best["average"]
        return self.average.model.state_dict()

    def _step(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """One update; gives loss and gradient norm (before clipping) on the device, without waiting for them."""
        step, options = self.state.step, self.optimizer_settings
        # Dropout is the one thing that draws from PyTorch's own generator: its numbers follow the step, too.
        torch.manual_seed(
            (self.samples.seed * 0x9E3779B97F4A7C15 + self.processes.rank * 0xD1342543DE82EF95 + step) % 2**63
        )
        self.segmenter.train()
        image, mask = (batch[key].to(self.device, non_blocking=True) for key in ("image", "mask"))
        draw = TrainingDraw(self.samples.seed, batch["n"].tolist())
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(options, step, self.steps)
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.device, self.precision):
            loss = self._loss(image, mask, draw)
        loss.backward()
        limit = float("inf") if options.clip_norm is None else options.clip_norm
        grad_norm = torch.nn.utils.clip_grad_norm_(self.segmenter.parameters(), limit)
        # Waits for the device, once all of the step's work was handed over.
        if not bool(torch.isfinite(grad_norm)):
            dataset = self.samples.dataset
            names = [dataset.names[self.samples.image_index(n)] for n in batch["n"].tolist()]
            folder = self.folder.path / ("" if self.processes.writes else f"process_{self.processes.rank}")
            raise TrainingError(keep_evidence(folder, step, batch, names, loss.item(), self.segmenter))
        self.optimizer.step()
        self.average.update(self.segmenter, step)
        return loss.detach(), grad_norm

    def _describe(self, loss: Tensor) -> str:
        state = self.state
        best = f"  best {label(self.monitor)} {state.best_score:.4f}" if state.best_step else ""
        speed = f"  {self._speed:.1f} images/s" if self._speed else ""
        return f"loss {loss.item():.4f}{best}{speed}"

    def _log(self, curves: Curves | None, loss: Tensor, grad_norm: Tensor) -> None:
        loss = self.processes.mean(loss)
        if curves is None:
            return
        values = {
            "lr": self.optimizer.param_groups[0]["lr"],
            "loss": float(loss),
            "grad_norm": float(grad_norm),
            "images_per_second": self._speed,
        }
        self._record(curves, values)

    def _record(self, curves: Curves, values: dict[str, float]) -> None:
        state = self.state
        values = {"samples": state.step * self.settings.batch_size, "minutes": state.minutes, **values}
        curves.add(step=state.step, **values)
        self.tracking.log(state.step, values)

    def _validate(self, curves: Curves | None, progress: Progress) -> None:
        assert self.validate is not None
        state = self.state
        writes = self.processes.writes
        scores = self.processes.from_first(
            self.validate(self.average.model, state.step) if writes else None  # type: ignore[arg-type]
        )
        if curves is not None:
            self._record(curves, {f"val_{name}": scores[name] for name in self.segmenter.target.validation_scores})
        score = scores[self.monitor]
        better = score > state.best_score
        state.validations_since_best = 0 if better else state.validations_since_best + 1
        better = better or state.best_score == score == 0  # which says nothing: the newest weights, then
        if better:
            state.best_score, state.best_step = score, state.step
            if writes:
                weights = self.average.model.state_dict()
                best = {
                    "step": state.step,
                    self.monitor: state.best_score,
                    "average": weights,
                    "identity": self.folder.identity,
                }
                save_checkpoint(best, self.folder.best)
        shown = ", ".join(f"{label(name)} {scores[name]:.4f}" for name in self.segmenter.target.validation_scores)
        progress.say(
            f"step {state.step}: validation {shown}"
            + (" (best)" if better else f" (best {state.best_score:.4f} at step {state.best_step})")
        )
        state.blank_validations = state.blank_validations + 1 if scores.get("blank") else 0
        if state.blank_validations > 1:
            progress.say(
                f"every mask of the last {state.blank_validations} validations is blank (all background or all "
                f"object): nothing is learned yet, or the network has collapsed; {ADVICE}"
            )
