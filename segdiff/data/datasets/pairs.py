"""Images and their truths, matched by stem."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from segdiff.errors import DataError


def stem_of(path: Path) -> str:
    """The name without its suffix; `.xml.gz` counts as one suffix, other dots belong to the name."""
    return Path(path.stem).stem if path.suffix.lower() == ".gz" else path.stem


def match_pairs(
    images: Sequence[Path], truths: Sequence[Path] | Mapping[str, Path], unmatched: list[Path] | None = None
) -> list[tuple[str, Path, Path]]:
    """Match images and truths by stem.

    Args:
        truths: files, or files by stem: one file may hold the truth of several images.
        unmatched: takes the files without partner, which are an error otherwise.
    Returns:
        (stem, image, truth), sorted by stem.
    Raises:
        DataError: two images or two truths of one stem; a file without partner, unless `unmatched` takes it.
    """
    images_by_stem, truths_by_stem = by_stem(images), truths if isinstance(truths, Mapping) else by_stem(truths)
    truths_by_stem = without_ending(images_by_stem, truths_by_stem)
    for what, ours, others in (
        ("mask or annotation", images_by_stem, truths_by_stem),
        ("image", truths_by_stem, images_by_stem),
    ):
        alone = [stem for stem in ours if stem not in others]
        if alone and unmatched is None:
            more = f"; {len(alone) - 1} more files are without" if len(alone) > 1 else ""
            raise DataError(f"{ours[alone[0]]} has no {what} of the same stem ({alone[0]}){more}")
        if unmatched is not None:
            unmatched += [ours[stem] for stem in alone]
    both = sorted(images_by_stem.keys() & truths_by_stem.keys())
    return [(stem, images_by_stem[stem], truths_by_stem[stem]) for stem in both]


def without_ending(images: Mapping[str, Path], truths: Mapping[str, Path]) -> Mapping[str, Path]:
    """Return truths by the stems of their images, where all are called so with one ending, as "_mask" or "-labels".

    Images may have an ending of their own, as "_image". Where one truth has the very stem of an image, or endings
    differ, they are as they were: nothing is guessed.
    """
    if not truths or images.keys() & truths.keys():
        return truths
    first = min(truths)
    endings = {first[len(stem) :] for stem in images if first.startswith(stem)}
    for ending in sorted(endings, key=len):
        stripped = {stem.removesuffix(ending): path for stem, path in truths.items() if stem.endswith(ending)}
        if len(stripped) == len(truths) and stripped.keys() <= images.keys():
            return stripped
    for ours in _common_endings(images):  # x_image goes with x_mask
        for ending in _common_endings(truths):
            renamed = {stem.removesuffix(ending) + ours: path for stem, path in truths.items()}
            if renamed.keys() <= images.keys():
                return renamed
    return truths


def _common_endings(stems: Iterable[str]) -> list[str]:
    """What two stems and more all end with, from a separator on; the longest first."""
    several = list(stems)
    common = os.path.commonprefix([stem[::-1] for stem in several])[::-1] if len(several) > 1 else ""
    return [common[place:] for place, letter in enumerate(common) if letter in "_-. "]


def by_stem(paths: Sequence[Path]) -> dict[str, Path]:
    """Files by stem. DataError where two share one."""
    found: dict[str, Path] = {}
    for path in paths:
        stem = stem_of(path)
        if stem in found:
            raise DataError(f"{found[stem]} and {path} have the same stem ({stem}): keep one of them")
        found[stem] = path
    return found
