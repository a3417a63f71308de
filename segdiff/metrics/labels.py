"""How scores are called in messages and tables for people."""

from __future__ import annotations

LABELS = {"dice": "Dice", "iou": "IoU"}


def label(name: str) -> str:
    """Return the usual spelling of a score's name; names that are spelled as they are stay so."""
    return LABELS.get(name, name)
