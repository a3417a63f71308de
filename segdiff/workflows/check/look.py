"""Look at all splits of a data set."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.datasets import DATASETS, Dataset, build_dataset
from segdiff.errors import ConfigError, MissingError, UserError
from segdiff.workflows.check.duplicates import duplicates
from segdiff.workflows.check.facts import Facts, facts_of, mask_is_image, stored_facts, summary
from segdiff.workflows.check.findings import Finding, by_severity
from segdiff.workflows.check.judge import judge_files, judge_notes, judge_truths
from segdiff.workflows.check.sheet import cell, contact_sheet, evenly
from segdiff.workflows.progress import Progress

SPLITS = ("train", "val", "test")
ON_SHEET = 24


@dataclass
class Report:
    """What was found.

    Attributes:
        kind, root: of the data set.
        splits: split -> `facts.summary`, of those that are there.
        findings: errors first.
        sheet: a contact sheet, uint8 (H, W, 3); None without any image.
    """

    kind: str
    root: str
    splits: dict[str, dict[str, Any]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    sheet: NDArray[np.uint8] | None = None

    @property
    def breaks_training(self) -> bool:
        """Whether there is an error among the findings."""
        return any(finding.severity == "error" for finding in self.findings)

    def content(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        findings = [{**asdict(finding), "where": list(finding.where)} for finding in self.findings]
        return {
            "format_version": 1,
            "dataset": self.kind,
            "root": self.root,
            "splits": self.splits,
            "findings": findings,
        }


def check_data(
    kind: str,
    root: str | Path,
    splits: Sequence[str] = SPLITS,
    progress: Progress | None = None,
    **options: Any,
) -> Report:
    """Read every image and truth of a data set once, and tell what would break or spoil a training.

    Args:
        kind, root, options: as `segdiff.data.datasets.build_dataset`.
        splits: to look at; those that are not there are a note.
        progress: told how far it is.
    Raises:
        ConfigError: an unknown kind, split or option: nothing was looked at.
    """
    report = Report(kind, str(root))
    found: dict[str, list[Facts]] = {}
    cells: list[tuple[str, str, NDArray[np.uint8]]] = []
    opened = {split: data for split in splits if (data := _open(report, kind, root, split, options)) is not None}
    total, done = sum(len(data) for data in opened.values()), 0
    for split, data in opened.items():
        shown = evenly(len(data), max(1, ON_SHEET // len(opened)))
        found[split], unreadable = [], []
        for index, name in enumerate(data.names):
            if progress is not None:
                progress(done, total, name)
            done += 1
            try:
                sample = data[index]
                facts = facts_of(sample, stored_facts(data, index))
            except UserError as error:
                same = mask_is_image(data, index)
                unreadable.append(f"{name}: its mask is the very picture" if same else str(error))
                continue
            found[split].append(facts)
            if index in shown:
                cells.append((f"{split}: {name}", f"{facts.foreground:.1%} object", cell(sample)))
        report.splits[split] = {**summary(found[split], data.mpp), "unreadable": len(unreadable)}
        report.findings += _of_split(split, data, found[split], unreadable)
    report.findings += _of_all(found)
    if not opened:  # one line is enough where there is nothing at all
        report.findings = [finding for finding in report.findings if finding.severity == "error"] or report.findings
    report.findings = by_severity(report.findings)
    report.sheet = contact_sheet(cells) if cells else None
    return report


def _open(report: Report, kind: str, root: str | Path, split: str, options: dict[str, Any]) -> Dataset | None:
    """The data set of a split, with files that cannot be trained on; None, with a finding, where there is none."""
    lenient = kind in DATASETS and "lenient" in inspect.signature(DATASETS[kind]).parameters
    try:
        return build_dataset(kind, root, split, **options, **({"lenient": True} if lenient else {}))
    except ConfigError:
        raise
    except UserError as error:
        absent = isinstance(error, MissingError) and split != "train"
        told = Finding("note" if absent else "error", f"no split {split}" if absent else f"{split}: {error}")
        report.findings.append(told)
        return None


def _of_split(split: str, data: Dataset, facts: list[Facts], unreadable: list[str]) -> list[Finding]:
    findings = []
    # The training and validation parts of one folder have the same files without partner.
    if data.unmatched and (split in ("train", "test")):
        paths = [str(path) for path in data.unmatched]
        told = f"{split}: {len(paths)} file(s) without a partner of the same stem"
        findings.append(Finding("error", told, "Add the missing ones, or take these away", paths))
    if unreadable:
        told = f"{split}: {len(unreadable)} of {len(data)} images cannot be used"
        findings.append(Finding("error", told, "", unreadable))
    return [*findings, *judge_truths(split, facts), *judge_files(split, facts), *judge_notes(split, facts)]


def _of_all(found: dict[str, list[Facts]]) -> list[Finding]:
    """What concerns several images or splits."""
    places = [(split, facts) for split, all_facts in found.items() for facts in all_facts]
    pairs = duplicates([facts.signature for _, facts in places if facts.signature is not None])
    findings = [*_same_pictures(places, pairs), *_same_truths(places, {(i, j) for i, j, _ in pairs})]
    if found and "val" not in found:
        findings.append(Finding("note", "nothing to validate on", "The newest weights will count as the best"))
    return findings


def _same_pictures(places: list[tuple[str, Facts]], pairs: list[tuple[int, int, bool]]) -> list[Finding]:
    findings = []
    for together, severity, where, advice in (
        (False, "warning", "different splits", "Keep a picture in one split: scores on its copy say nothing new"),
        (True, "note", "one split", ""),
    ):
        chosen = [pair for pair in pairs if (places[pair[0]][0] == places[pair[1]][0]) == together]
        if chosen:
            equal = sum(exact for _, _, exact in chosen)
            told = f"{len(chosen)} pair(s) of the same picture in {where}, {equal} to the last bit"
            names = [_pair(places, i, j) + ("" if exact else " (nearly)") for i, j, exact in chosen]
            findings.append(Finding(severity, told, advice, names))
    return findings


def _same_truths(places: list[tuple[str, Facts]], copies: set[tuple[int, int]]) -> list[Finding]:
    """Different pictures with the very same mask: a mask may have been saved under a wrong name."""
    first_of: dict[tuple[Any, ...], int] = {}
    same = []
    for number, (_, facts) in enumerate(places):
        if facts.mask_hash is not None:
            first = first_of.setdefault((facts.size, facts.mask_hash), number)
            if first != number and (first, number) not in copies:
                same.append(_pair(places, first, number))
    if not same:
        return []
    return [Finding("warning", f"{len(same)} pair(s) of different pictures have the same mask", "Look at both", same)]


def _pair(places: list[tuple[str, Facts]], i: int, j: int) -> str:
    return " = ".join(f"{places[number][0]}/{places[number][1].name}" for number in (i, j))
