"""What facts of one split are worth a finding."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from segdiff.workflows.check.facts import Facts
from segdiff.workflows.check.findings import Finding

SPECK = 3  # an object of so many pixels or fewer is hardly one
SPECK_SHARE = 0.02  # of all objects that may be specks before it is said


def judge_truths(split: str, facts: Sequence[Facts]) -> list[Finding]:
    """Masks that are empty, full, inverted or full of specks."""
    return [*judge_extents(split, facts), *_judge_specks(split, facts)] if facts else []


def judge_extents(split: str, facts: Sequence[Facts]) -> list[Finding]:
    """Masks that are empty, full or inverted; an error where all are."""
    findings = []
    empty = [f.name for f in facts if f.foreground == 0]
    if len(empty) == len(facts):
        findings.append(Finding("error", f"{split}: every mask is empty", "Objects must have values above 0"))
    elif empty:
        many = len(empty) > len(facts) / 2
        told = f"{split}: {len(empty)} of {len(facts)} masks are empty"
        advice = "Fine where there is nothing to find; Dice and IoU of such images are 0 or tell little"
        findings.append(Finding("warning" if many else "note", told, advice, empty))
    full = [f.name for f in facts if f.foreground == 1]
    if full:
        told = f"{split}: {len(full)} of {len(facts)} masks are object everywhere"
        advice = "Background must be 0 (some programs write 1 for it, and 2 for objects)"
        findings.append(Finding("error" if len(full) == len(facts) else "warning", told, advice, full))
    inverted = [f.name for f in facts if f.looks_inverted]
    if inverted:
        told = f"{split}: {len(inverted)} of {len(facts)} masks look inverted (object along the border, and mostly)"
        advice = "Object is what is above 0: exchange 0 and 255 if they are"
        findings.append(Finding("error" if len(inverted) == len(facts) else "warning", told, advice, inverted))
    return findings


def _judge_specks(split: str, facts: Sequence[Facts]) -> list[Finding]:
    areas = np.concatenate([f.areas for f in facts])
    specks = int((areas <= SPECK).sum())
    if areas.size and specks > SPECK_SHARE * areas.size:
        told = f"{split}: {specks} of {areas.size} objects have {SPECK} pixels or fewer"
        worst = sorted(facts, key=lambda f: -int((f.areas <= SPECK).sum()))[:3]
        return [Finding("warning", told, "Often leftovers of drawing or resizing", [f.name for f in worst])]
    return []


def judge_notes(split: str, facts: Sequence[Facts]) -> list[Finding]:
    """How files were read where that is not a matter of course: a line for each sentence, whatever its numbers."""
    said: dict[str, list[tuple[str, str]]] = {}
    for one in facts:
        for note in one.notes:
            said.setdefault(re.sub(r"[0-9][0-9.]*", "N", note), []).append((one.name, note))
    return [
        Finding("note", f"{split}, {len(found)} of {len(facts)}: {found[0][1]}", "", [name for name, _ in found])
        for found in said.values()
    ]


def judge_files(split: str, facts: Sequence[Facts]) -> list[Finding]:
    """Values of masks, and images of different kinds."""
    findings = []
    ones = [f.name for f in facts if set(f.stored.mask_values) in ({0.0, 1.0}, {1.0})]
    if ones:
        told = f"{split}: {len(ones)} of {len(facts)} masks hold 0 and 1, which look black"
        findings.append(Finding("note", told, "Read as they should be: above 0 is object"))
    several = [f.name for f in facts if len([v for v in f.stored.mask_values if v > 0]) > 1]
    if several:
        told_apart = sum(f.told_apart for f in facts if f.name in set(several))
        how = "as numbered objects" if told_apart == len(several) else "as object wherever they are above 0"
        told = f"{split}: {len(several)} of {len(facts)} masks hold several values, read {how}"
        findings.append(Finding("note", told))
    images = [f.name for f in facts if f.stored.mask_is_image]
    if images:
        told = f"{split}: {len(images)} masks are the very pictures"
        findings.append(Finding("error" if len(images) == len(facts) else "warning", told, "Look at them", images))
    for what, kinds in (
        ("numbers of channels", Counter(f.stored.channels for f in facts)),
        ("types", Counter(f.stored.type for f in facts)),
    ):
        if len(kinds) > 1:
            least = min(kinds, key=lambda kind: kinds[kind])
            odd = [f.name for f in facts if least in (f.stored.channels, f.stored.type)]
            listed = ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common())
            told = f"{split}: images have different {what}: {listed}"
            findings.append(Finding("note", told, "All are read as RGB", odd))
    return findings
