"""What was noticed, and how bad it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

SEVERITIES = ("error", "warning", "note")
SHOWN = 4  # names in a line


@dataclass(frozen=True)
class Finding:
    """Something worth telling.

    Attributes:
        severity: "error" (would break training), "warning" (would spoil it, or the scores) or "note".
        what: a sentence without its names.
        advice: what to do; may be empty.
        where: all names it is about.
    """

    severity: str
    what: str
    advice: str = ""
    where: Sequence[str] = field(default_factory=tuple)

    def line(self) -> str:
        """For people: the first names only."""
        names = ", ".join(self.where[:SHOWN])
        if len(self.where) > SHOWN:
            names += f" and {len(self.where) - SHOWN} more"
        text = f"{self.severity}: {self.what}" + (f": {names}" if names else "")
        return f"{text}. {self.advice}" if self.advice else text


def by_severity(findings: Sequence[Finding]) -> list[Finding]:
    """Errors first, else in the order given."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
