"""What a training looks at before it begins: every training image, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from segdiff.data.datasets import Dataset
from segdiff.data.nodata import DataOnly, find_no_data
from segdiff.data.objects import median_diameter
from segdiff.data.protocols import Protocol
from segdiff.inference.looks import measure, ranges
from segdiff.workflows.check.facts import Facts, describe_summary, facts_of, summary
from segdiff.workflows.check.quick import check_facts

Scale = dict[str, float | None]
Looks = dict[str, list[float]]


def first_look(train: Dataset, protocol: Protocol, say: Callable[[str], None]) -> tuple[list[Facts], Scale, Looks]:
    """What the network will see of every training image, told shortly; `segdiff check-data` looks closer.

    Returns:
        The facts of each image; micrometres per pixel and the median object diameter, as the model will see them; the
        ranges of what the pictures look like.
    Raises:
        DataError: masks that nothing can be learned from.
    """
    facts, measured, height = [], [], 0
    for index in range(len(train)):
        sample = train[index]
        height = height or sample.image.shape[0]
        seen = protocol.as_seen(sample)
        facts.append(facts_of(seen, recognise=False))
        measured.append(measure(DataOnly(seen.image, find_no_data(seen.image))))
    _tell(train, facts, say)
    diameters = [one for f in facts if (one := median_diameter(f.areas)) is not None]
    looks = ranges(measured)
    if diameters:
        looks["diameter_px"] = [round(min(diameters), 2), round(max(diameters), 2)]
    return facts, _scale(facts, protocol.mpp(train.mpp, height)), looks


def look_at_validation(validation: Dataset | None, limit: int | None, say: Callable[[str], None]) -> Dataset | None:
    """Look at the validation images once; give None, said so, where no object is in any of them.

    By such images all weights are as good: the first of them would be the best, and a temperature would be fitted to
    nothing.

    Args:
        limit: how many of them choose the best weights; None: all.
    Raises:
        DataError: masks that `segdiff check-data` calls wrong.
    """
    if validation is None:
        return None
    facts = [facts_of(validation[index], recognise=False) for index in range(len(validation))]
    if not any(one.foreground for one in facts):
        say(
            f"no validation: no object is in any of the {len(facts)} validation image(s), so nothing can be chosen or "
            "calibrated by them; the newest weights will be the model (another dataset.seed or dataset.fold divides "
            "the images otherwise)"
        )
        return None
    check_facts("validation", facts, say)
    if limit is not None and not any(one.foreground for one in facts[:limit]):
        say(
            f"no object is in the first {limit} validation image(s), by which the best weights are chosen: "
            "trainer.validation_images=null takes all"
        )
    return validation


def _tell(train: Dataset, facts: Sequence[Facts], say: Callable[[str], None]) -> None:
    say(f"to train on: {describe_summary(summary(facts))}")
    counts = [f"{name} {n}" for name, n in train.report.items() if isinstance(n, int) and name != "images"]
    if counts:
        say(f"  {', '.join(counts)}")
    check_facts("training", facts, say)


def _scale(facts: Sequence[Facts], mpp: float | None) -> Scale:
    diameter = median_diameter(np.concatenate([f.areas for f in facts]))
    return {
        "mpp": None if mpp is None else round(mpp, 6),
        "object_diameter_px": None if diameter is None else round(diameter, 2),
    }
