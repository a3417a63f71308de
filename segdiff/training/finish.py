"""The end of a training, or of one call of it: the model is saved, calibrated and scored."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from segdiff.artifacts.folder import Artifact, load_artifact, save_artifact
from segdiff.data.writers import write_json
from segdiff.metrics.labels import label
from segdiff.training.evidence import ADVICE
from segdiff.workflows.scoring import mean_of

if TYPE_CHECKING:
    from segdiff.training.experiment import Experiment, Say
    from segdiff.training.loop import Trainer
    from segdiff.training.validate import Validation

CALIBRATION = {"ece_raw": "ECE", "ece": "calibrated"}


def finish(experiment: Experiment, trainer: Trainer, validation: Validation | None, say: Say) -> dict[str, Any]:
    """Save the best weights as a model and, where the training is finished, calibrate and score it.

    Returns:
        What `run_training` gives; `model` and the scores of the last validation in the process that writes only.
    """
    state, settings = trainer.state, trainer.settings
    result: dict[str, Any] = {
        "monitor": trainer.monitor,
        "validation_scores": experiment.segmenter.target.validation_scores,
        trainer.monitor: state.best_score if state.best_step else float("nan"),
        "finished": trainer.finished,
        "folder": str(experiment.folder.path),
        "writes": experiment.processes.writes,
    }
    if not experiment.processes.writes:
        return result
    best = _best(experiment, trainer)
    result["model"] = str(save_artifact(best, experiment.folder.model))
    if not trainer.finished:
        say(
            f"stopped at step {state.step} of {trainer.steps} by trainer.max_minutes, saved; "
            "the same command with resume=auto goes on"
        )
    elif settings.final_evaluation and validation is not None:
        if settings.calibrate:
            _calibrate(experiment, best, validation, say)
        result.update(_score(experiment, validation, state.step, say))
    return result


def _best(experiment: Experiment, trainer: Trainer) -> Artifact:
    """Wrap the best weights, with what was spent on them."""
    trainer.segmenter.load_state_dict(trainer.best_weights())
    best = experiment.artifact(trainer.segmenter.eval())
    state = trainer.state
    spent = {"steps": state.best_step or state.step, "minutes": round(state.minutes, 1)}
    return replace(best, training={**best.training, **spent})


def _calibrate(experiment: Experiment, best: Artifact, validation: Validation, say: Say) -> None:
    """Fit temperature and threshold to the validation images, and save the model with them."""
    calibrated = validation.calibrated(best)
    save_artifact(calibrated, experiment.folder.model)
    fitted = calibrated.inference
    if "temperature" not in experiment.segmenter.target.calibrated:
        return
    say(
        f"temperature {fitted['temperature']:g}, threshold {fitted['threshold']:g}: "
        "fitted to the validation images, in the model"
    )


def _score(experiment: Experiment, validation: Validation, step: int, say: Say) -> dict[str, float]:
    """Score the saved model on the validation images; gives the scores of its target."""
    scores = validation.final(load_artifact(experiment.folder.model), step)
    write_json(experiment.folder.scores, scores)
    target = experiment.segmenter.target
    found = {name: mean_of(scores, name) for name in target.validation_scores}
    if scores["blank"]:
        say(
            "every validation mask is blank (all background or all object): the training was too short, or the "
            f"network has collapsed; {ADVICE}"
        )
    also = {name: what for name, what in CALIBRATION.items() if name in target.final_scores}
    shown = [f"{label(name)} {value:.4f}" for name, value in found.items()]
    shown += [f"{what} {mean_of(scores, name):.4f}" for name, what in also.items()]
    chains = experiment.options.sampling.chains
    say(f"validation with {chains} chain(s): {', '.join(shown)}")
    return found
