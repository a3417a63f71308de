"""The quick checks: what is said of truths before an hour is spent on them, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from segdiff.data.datasets.base import Dataset
from segdiff.errors import DataError
from segdiff.workflows.check.facts import Facts, facts_of
from segdiff.workflows.check.judge import judge_notes, judge_truths


def check_facts(what: str, facts: Sequence[Facts], say: Callable[[str], None]) -> None:
    """Say what stands out of these truths, as `segdiff check-data` does.

    Args:
        what: they are of, such as "training".
        facts: of each.
        say: takes lines for a person.
    Raises:
        DataError: what `check-data` calls an error: all are empty, full or inverted.
    """
    for finding in (*judge_truths(what, facts), *judge_notes(what, facts)):
        if finding.severity == "error":
            said = finding.line().removeprefix("error: ")
            raise DataError(f"{said} (segdiff check-data tells more)")
        say(finding.line())


def check_truths(dataset: Dataset, chosen: Sequence[int], say: Callable[[str], None]) -> None:
    """`check_facts` of the samples of a data set that are chosen, each read once.

    Raises:
        DataError: as `check_facts`, and of files that cannot be read.
    """
    check_facts(dataset.split, [facts_of(dataset[index], recognise=False) for index in chosen], say)
