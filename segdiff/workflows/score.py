"""Masks that any tool made, against truth masks: the same scores as a model's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segdiff.data.datasets.pairs import by_stem, stem_of
from segdiff.data.images import images_in
from segdiff.data.masks import foreground, instances, read_mask, single_object
from segdiff.errors import ConfigError, DataError, MissingError, ShapeError
from segdiff.metrics.table import Scoring
from segdiff.workflows.check.facts import Facts, facts_of_mask
from segdiff.workflows.check.judge import judge_extents, judge_notes
from segdiff.workflows.record import versions
from segdiff.workflows.scoring import score, summarise

SHOWN = 3  # names in a message


@dataclass(frozen=True)
class Pairs:
    """Predictions and truths of one name.

    Attributes:
        found: (name, prediction, truth), sorted by name.
        without_prediction, without_truth: names that have one of the two only.
    """

    found: list[tuple[str, Path, Path]]
    without_prediction: list[str]
    without_truth: list[str]


def find_pairs(pred: str | Path, truth: str | Path, pred_suffix: str = "", truth_suffix: str = "") -> Pairs:
    """Match the masks of two folders by stem, or take two files as a pair.

    Args:
        pred, truth: two folders, or two files.
        pred_suffix, truth_suffix: ends of stems that are not part of the name; given, only files that end so are
            taken: "_mask" for a folder that `segdiff predict` made, "_cp_masks" for one of Cellpose.
    Raises:
        MissingError: one is not there, or a folder holds no such file.
        DataError: a folder and a file, or two files of one name.
        ConfigError: both are the same.
    """
    pred, truth = Path(pred).expanduser(), Path(truth).expanduser()
    for path in (pred, truth):
        if not path.exists():
            raise MissingError(f"{path} is not there")
    if pred.resolve() == truth.resolve() and pred_suffix == truth_suffix:
        raise ConfigError(f"{pred} is given as prediction and as truth: every score would be perfect")
    if pred.is_file() and truth.is_file():
        return Pairs([(stem_of(truth), pred, truth)], [], [])
    if pred.is_file() or truth.is_file():
        raise DataError(f"{pred} and {truth}: give two folders, or two files")
    predictions, truths = _names(pred, pred_suffix), _names(truth, truth_suffix)
    both = sorted(predictions.keys() & truths.keys())
    return Pairs(
        [(name, predictions[name], truths[name]) for name in both],
        sorted(truths.keys() - predictions.keys()),
        sorted(predictions.keys() - truths.keys()),
    )


def score_files(
    pairs: Pairs,
    scoring: Scoring | None = None,
    *,
    mpp: float | None = None,
    partial: bool = False,
    check: bool = True,
) -> dict[str, Any]:
    """Score pairs of mask files; foreground is what is above 0, so that instances count as one foreground.

    Args:
        pairs: of `find_pairs`.
        scoring: which metrics; None: Dice and IoU.
        mpp: micrometres per pixel, for lengths in micrometres.
        partial: score what is there although truths have no prediction; the result names them.
        check: refuse truths that `segdiff check-data` calls an error: all of them empty, full or inverted.
    Returns:
        As `evaluate`, without what belongs to a model: "protocol" is "native", since masks are scored as they lie;
        "without_prediction" and "without_truth" are names that were left out, "warnings" lines on what stands out of
        the masks, and on how they were read.
    Raises:
        DataError: truths without prediction (unless `partial`), no pair at all, or pairs that cannot be read or differ
            in size: all of them are tried, the message tells how many failed and how the first did. Truths as `check`
            says.
        ConfigError: as `Scoring.check`.
    """
    scoring = scoring or Scoring()
    scoring.check(mpp)
    _check_names(pairs, partial)
    rows, failures = [], []
    predicted, true = _Looked("predictions"), _Looked("truths")
    for name, prediction, truth in pairs.found:
        try:
            ours, theirs = predicted.read(name, prediction), true.read(name, truth)
            mask, target = foreground(ours) > 0, foreground(theirs)
            if mask.shape != target.shape:
                sizes = f"{mask.shape[0]} x {mask.shape[1]}, its truth {target.shape[0]} x {target.shape[1]}"
                raise ShapeError(f"{prediction} is {sizes} (height x width)")
            said = _objects(ours, theirs, truth) if "instances" in scoring.needs else None
            rows.append({"name": name, **score(mask, target[None, None], scoring, mpp, said)})
        except (DataError, ShapeError, MissingError) as error:
            failures.append(str(error))
    if failures:
        more = f" (and {len(failures) - 1} more of {len(pairs.found)} pairs)" if len(failures) > 1 else ""
        raise DataError(f"{failures[0]}{more}: nothing was scored")
    warnings = [*true.warnings(refuse=check), *predicted.warnings(refuse=False)]
    summary = summarise(rows, scoring)
    images = summary.pop("per_image")
    return {
        **summary,
        "protocol": "native",
        "mpp": mpp,
        "without_prediction": pairs.without_prediction,
        "without_truth": pairs.without_truth,
        "warnings": warnings,
        "versions": versions(),
        "per_image": images,
    }


def _check_names(pairs: Pairs, partial: bool) -> None:
    """DataError where truths have no prediction (unless `partial`), or there is no pair at all."""
    lost = pairs.without_prediction
    if lost and not (partial and pairs.found):
        every = len(lost) + len(pairs.found)
        hint = _hint(lost, pairs.without_truth) or ("--partial scores the others" if pairs.found else "check the names")
        raise DataError(f"{len(lost)} of {every} truths have no prediction of their name: {_some(lost)}; {hint}")
    if not pairs.found:
        raise DataError("no truth and no prediction have the same name")


class _Looked:
    """The masks of one side, as they are read, and what stands out of them."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.facts: list[Facts] = []

    def read(self, name: str, path: Path) -> np.ndarray:
        notes: list[str] = []
        mask = read_mask(path, notes)
        self.facts.append(facts_of_mask(name, mask, notes))
        return mask

    def warnings(self, refuse: bool) -> list[str]:
        """Lines for people. DataError, with `refuse`, for what check-data calls an error."""
        lines = []
        for finding in (*judge_extents(self.what, self.facts), *judge_notes(self.what, self.facts)):
            line = finding.line()
            if finding.severity == "error":
                line = line.removeprefix("error: ")
                if refuse:
                    raise DataError(f"{line} (--no-check scores all the same)")
                line = f"warning: {line}"
            lines.append(line)
        return lines


def _objects(pred: np.ndarray, target: np.ndarray, truth: Path) -> dict[str, np.ndarray]:
    """Objects of two masks: what their files number; of a binary prediction the connected parts."""
    from skimage.measure import label

    true = _numbered(target)
    if true is None:
        parts = int(label(foreground(target), connectivity=2).max())
        raise DataError(
            f"{truth} does not number its objects, which aji, pq and dq need: it has one value in {parts} parts, of "
            "which none is nearly all"
        )
    found = _numbered(pred)
    return {
        "instances": label(foreground(pred), connectivity=2) if found is None else found,
        "true_instances": true,
    }


def _numbered(mask: np.ndarray) -> np.ndarray | None:
    """Objects by number; of a single value, one object, with stray pixels; else None."""
    numbers = instances(mask, sure=True)
    return single_object(mask) if numbers is None else numbers


def _names(folder: Path, suffix: str) -> dict[str, Path]:
    files = [path for path in images_in(folder) if stem_of(path).endswith(suffix) and stem_of(path) != suffix]
    if not files:
        what = f"whose name ends with {suffix}" if suffix else "such as .png or .tif"
        raise MissingError(f"{folder} holds no mask file {what}")
    return {stem.removesuffix(suffix): path for stem, path in by_stem(files).items()}


def _hint(truths: Sequence[str], predictions: Sequence[str]) -> str:
    """What option would match the names, if all of one side continue those of the other in one way."""
    for option, short, long in (("--pred-suffix", truths, predictions), ("--truth-suffix", predictions, truths)):
        ends = [{name.removeprefix(start) for name in long if name.startswith(start)} for start in short]
        common = set.intersection(*ends) - {""} if ends else set()
        if common:
            return f"{option} {min(common, key=lambda end: ('mask' not in end, len(end), end))} would match them"
    return ""


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
