"""Images and their truths, matched by stem."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segdiff.errors import DataError


def stem_of(path: Path) -> str:
    """The name without its suffix; `.xml.gz` counts as one suffix, other dots belong to the name."""
    return Path(path.stem).stem if path.suffix.lower() == ".gz" else path.stem


def match_pairs(images: Sequence[Path], truths: Sequence[Path]) -> list[tuple[str, Path, Path]]:
    """Match images and truths by stem.

    Returns:
        (stem, image, truth), sorted by stem.
    Raises:
        DataError: two images or two truths of one stem, an image without truth, a truth without image.
    """
    images_by_stem, truths_by_stem = by_stem(images), by_stem(truths)
    for stem, path in images_by_stem.items():
        if stem not in truths_by_stem:
            raise DataError(f"{path} has no mask or annotation of the same stem ({stem})")
    for stem, path in truths_by_stem.items():
        if stem not in images_by_stem:
            raise DataError(f"{path} has no image of the same stem ({stem})")
    return [(stem, images_by_stem[stem], truths_by_stem[stem]) for stem in sorted(images_by_stem)]


def by_stem(paths: Sequence[Path]) -> dict[str, Path]:
    """Files by stem. DataError where two share one."""
    found: dict[str, Path] = {}
    for path in paths:
        stem = stem_of(path)
        if stem in found:
            raise DataError(f"{found[stem]} and {path} have the same stem ({stem}): keep one of them")
        found[stem] = path
    return found
