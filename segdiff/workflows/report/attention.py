"""Which pictures to look at first, and why, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from segdiff.workflows.report.layers import Shown
from segdiff.workflows.report.rows import DONE, FAILED, PENDING, Column

FEWEST = 8  # pictures that can say what is usual among them
UNUSUAL = 3.5  # modified z-score of an outlier, Iglewicz and Hoaglin 1993
NORMAL = 0.6745  # the median absolute deviation of a normal distribution, by its standard deviation
WEIGHTS = {FAILED: 100, PENDING: 90}
REMARK, BLANK, UNLIKE_OTHERS = 10, 10, 3
EMPTY, FULL = "the mask is empty", "the mask covers the whole picture"


@dataclass
class Attention:
    """How much a picture wants to be looked at.

    Attributes:
        weight: 0 where there is no reason.
        reasons: for people, without what the row says itself (error, warnings).
    """

    weight: int = 0
    reasons: list[str] = field(default_factory=list)

    def add(self, weight: int, reason: str | None = None) -> None:
        """Count a reason; None where the row's own words say it."""
        self.weight += weight
        if reason is not None:
            self.reasons.append(reason)


def judge(pictures: Sequence[Shown], columns: Sequence[Column]) -> list[Attention]:
    """Reasons to look at each picture.

    A picture that failed or was not done, with warnings, with an empty or full mask, and one of whose numbers lies far
    from those of the others (in the worse direction, or in either where neither is worse).
    """
    found = [_alone(shown) for shown in pictures]
    for column in columns:
        _beside_others(found, pictures, column)
    return found


def order(pictures: Sequence[Shown], attention: Sequence[Attention], measure: Column | None) -> list[int]:
    """Indices of pictures, the first to look at first: by their reasons, then by the measure, the worst first."""

    def key(index: int) -> tuple[float, float, int]:
        value = pictures[index].values.get(measure.key) if measure else None
        if measure is None or value is None:
            return -attention[index].weight, np.inf, index
        return -attention[index].weight, value if measure.better > 0 else -value, index

    return sorted(range(len(pictures)), key=key)


def doubt_column(pictures: Sequence[Shown], columns: Sequence[Column]) -> Column | None:
    """The number by which pictures without a reason are ordered: the first score, else confidence, uncertainty,
    probability; None where no picture has any."""
    told = {column.key: column for column in columns}
    scores = [column.key for column in columns if column.key not in ("objects", "area", "share")]
    own = ("confidence", "uncertainty", "probability")
    for key in (*(key for key in scores if key not in own), *own):
        if key in told and told[key].better and any(shown.values.get(key) is not None for shown in pictures):
            return told[key]
    return None


def _alone(shown: Shown) -> Attention:
    attention = Attention()
    attention.add(WEIGHTS.get(shown.row.status, 0))
    if shown.row.status != DONE:
        return attention
    if shown.row.warnings or shown.notes:
        attention.add(REMARK)
    if shown.empty:
        attention.add(BLANK, EMPTY)
    if shown.full:
        attention.add(BLANK, FULL)
    return attention


def _beside_others(found: Sequence[Attention], pictures: Sequence[Shown], column: Column) -> None:
    """Add a reason to pictures whose number is an outlier among all."""
    places = [index for index, shown in enumerate(pictures) if shown.values.get(column.key) is not None]
    values = np.array([pictures[index].values[column.key] for index in places], dtype=np.float64)
    if len(values) < FEWEST:
        return
    middle = np.median(values)
    deviation = np.median(np.abs(values - middle))
    if deviation == 0:
        return
    for index, value in zip(places, values, strict=True):
        score = NORMAL * (value - middle) / deviation
        if abs(score) > UNUSUAL and (column.better == 0 or score * column.better < 0):
            unit = f" {column.unit}" if column.unit else ""
            told = f"{column.title} {value:.{column.digits}f}{unit}, of others typically {middle:.{column.digits}f}"
            found[index].add(UNLIKE_OTHERS, told)
