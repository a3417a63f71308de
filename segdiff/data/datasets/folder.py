"""Anybody's images and masks: two folders, matched by stem.

    root/images/*, root/masks/*                  flat: the split comes from root/index.csv, else from a seed
    root/<split>/images/*, root/<split>/masks/*  split by subfolders, <split> one of train, val, test
    root/images/<split>/*, root/masks/<split>/*  the same the other way round
    .../masks/<rater>/*                          in each of them: several masks of an image (`datasets.raters`)

`index.csv` has a column `stem` (or `name`), and `split` (train, val or test) or `group` or both. With `split` the file
decides, and a group that it puts into two splits is an error. With `group` alone, and without the file (each
image its own group), whole groups are drawn for validation by a seed, or dealt to five folds, and there is no test
split. A column `repeat` says how often a pass of training shows an image: 1 and more, of a look that is rare.

Where masks lie, annotations may lie as well (`segdiff.data.annotations`): GeoJSON, Labelme or ImageJ files of the
image's stem, or COCO files that list the images.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segdiff.data.annotations import is_annotation
from segdiff.data.datasets.base import Dataset, Sample
from segdiff.data.datasets.drawn import DrawnTruths
from segdiff.data.datasets.pairs import by_stem, match_pairs
from segdiff.data.datasets.raters import MOST_BITS, RaterTruths, read_bits, stack_raters
from segdiff.data.images import images_in, read_image, read_size, to_rgb
from segdiff.data.masks import foreground, instances, read_mask
from segdiff.data.splits import FOLDS, check_split, group_folds, seeded_split
from segdiff.errors import ConfigError, DataError, MissingError
from segdiff.settings import read_settings

PARTS = ("train", "val", "test")
MOST_REPEATS = 1000
Pair = tuple[str, Path, Path]


@dataclass(frozen=True)
class FolderOptions:
    """What a folder may be told, as in `conf/dataset/folder.yaml`.

    Attributes:
        fold: 0..4: "val" is this one of five folds, made of whole groups; for the flat layout without a column `split`.
        val_fraction: of the images that a seeded split holds out; 0 holds out none.
        seed: of that split.
        mpp: micrometres per pixel of the images, None where unknown.
        objects: "auto": a mask with several different values, most of which are of one part, holds instances, and so
            does an annotation;
            "instances": every mask does, also one with a single object or with objects of several parts; "none":
            values are classes or grey levels, objects not told apart.
        classes: of the annotated objects that count; None: all. Masks have no classes.
        bits: masks are bit fields of so many raters, 2 to 32; None: they are masks.
        group: the column of index.csv that says what belongs together.
        use_split: False: its column `split` does not count, and every image is trained on or validated with.
    Raises:
        ConfigError: an option that cannot be.
    """

    fold: int | None = None
    val_fraction: float = 0.2
    seed: int = 0
    mpp: float | None = None
    objects: str = "auto"
    classes: tuple[str, ...] | str | None = None
    bits: int | None = None
    group: str = "group"
    use_split: bool = True

    def __post_init__(self) -> None:
        if self.objects not in ("auto", "instances", "none"):
            raise ConfigError(f"objects is {self.objects!r}; choose auto, instances or none")
        if self.mpp is not None and not self.mpp > 0:
            raise ConfigError(f"mpp is {self.mpp}; micrometres per pixel are above 0, or null where unknown")
        if self.fold is not None and self.fold not in range(FOLDS):
            raise ConfigError(f"fold is {self.fold}; there are folds 0 to {FOLDS - 1}, or null")
        if self.bits is not None and not 2 <= self.bits <= MOST_BITS:
            raise ConfigError(f"bits is {self.bits}; bit fields are of 2 to {MOST_BITS} raters, or null for masks")


class Folder(Dataset):
    """A split of a folder of images and masks or annotations.

    Args:
        root: the folder; the module's text shows its layouts.
        split: "train", "val", "test" or "all" (train + val).
        lenient: go on without files that have no partner (`unmatched` has them), and find sizes that differ only when
            they are read: to look at data that cannot be trained on yet.
        options: the fields of `FolderOptions`.
    Raises:
        ConfigError: an option that cannot be.
        MissingError: no such folder, or no image in this split.
        DataError: images and masks that do not go together by stem or by size, or an index.csv at fault.
    """

    kind = "folder"
    Options: type | None = FolderOptions

    def __init__(self, root: str | Path, split: str, *, lenient: bool = False, **options: Any) -> None:
        check_split(split)
        self.options = read_settings(FolderOptions, "dataset", options)
        unmatched: list[Path] | None = [] if lenient else None
        classes = self.options.classes
        self.drawn = DrawnTruths([classes] if isinstance(classes, str) else classes)
        self.truths = RaterTruths(self.drawn)
        parts, repeats = find_parts(Path(root), self.options, self.truths, unmatched)
        wanted = ("train", "val") if split == "all" else (split,)
        self.pairs = sorted(pair for part in wanted for pair in parts.get(part, []))
        if not self.pairs:
            held = ", ".join(f"{part} ({len(pairs)} images)" for part, pairs in parts.items() if pairs)
            raise MissingError(f"{root} has no image for the split {split!r}; it has {held or 'none at all'}")
        by_stem([image for _, image, _ in self.pairs])  # the same stem in train and in val: names must differ
        every = [(stem, image, mask) for stem, image, first in self.pairs for mask in self.truths.of(stem, first)]
        if not lenient:
            _check_sizes(every)
        self.drawn.check_classes(
            (stem, mask) for pairs in parts.values() for stem, _, first in pairs for mask in self.truths.of(stem, first)
        )
        super().__init__(split, [name for name, _, _ in self.pairs], self.options.mpp)
        self.unmatched = unmatched or []
        self._count_raters(Path(root))
        if repeats:
            self.repeats = [repeats[name] for name in self.names]

    def _count_raters(self, root: Path) -> None:
        bits, folders = self.options.bits, self.truths.folders
        if bits is not None and folders:
            raise ConfigError(f"bits={bits}: the masks of {root} lie in folders of raters ({', '.join(folders)})")
        self.raters = bits or max(len(self.truths.of(stem, first)) for stem, _, first in self.pairs)
        if self.raters > 1 and self.options.objects == "instances":
            raise ConfigError("objects is 'instances': several raters do not number the same objects; choose none")

    def read(self, index: int) -> Sample:
        name, image_path, truth_path = self.pairs[index]
        return self._of_raters(index) if self.raters > 1 else self._of_one(name, image_path, truth_path)

    def _of_raters(self, index: int) -> Sample:
        name, image_path, first = self.pairs[index]
        notes: list[str] = []
        if self.options.bits is not None:
            mask = read_bits(first, self.options.bits)[:, None]
            return Sample(name, to_rgb(read_image(image_path, notes=notes)), mask, notes=tuple(notes))
        ones = [self._of_one(name, image_path, path) for path in self.truths.of(name, first)]
        notes = [note for one in ones for note in one.notes]
        mask = stack_raters(name, [one.mask[0, 0] for one in ones])
        return Sample(name, ones[0].image, mask, notes=tuple(dict.fromkeys(notes)))

    def _of_one(self, name: str, image_path: Path, truth_path: Path) -> Sample:
        objects = self.options.objects
        notes: list[str] = []
        if is_annotation(truth_path):
            image = to_rgb(read_image(image_path, notes=notes))
            drawn, apart = self.drawn.labels(truth_path, name, (image.shape[0], image.shape[1]))
            known = drawn if objects == "instances" or (objects == "auto" and apart) else None
            return Sample(name, image, (drawn > 0).astype(np.uint8)[None, None], known, tuple(notes))
        mask = read_mask(truth_path, notes)
        binary = foreground(mask)
        labels = None if objects == "none" else instances(mask, sure=objects == "instances")
        if labels is None and objects == "instances":
            labels = binary.astype(np.int32)
        return Sample(name, to_rgb(read_image(image_path, notes=notes)), binary[None, None], labels, tuple(notes))

    def files(self, index: int) -> tuple[Path | None, Path | None]:
        return self.pairs[index][1:]

    @property
    def report(self) -> dict[str, Any]:
        """Adds the number of images by suffix, and of each rater's masks where raters have folders."""
        suffixes = Counter(image.suffix.lower() for _, image, _ in self.pairs)
        masks = [mask for stem, _, first in self.pairs for mask in self.truths.of(stem, first)]
        seen = Counter(mask.parent.name for mask in masks if mask.parent.name in self.truths.folders)
        return {**super().report, "suffixes": dict(suffixes), **({"masks_of_raters": dict(seen)} if seen else {})}


def find_parts(
    root: Path, options: FolderOptions, truths: RaterTruths, unmatched: list[Path] | None = None
) -> tuple[dict[str, list[Pair]], dict[str, int]]:
    """The pairs of each part of the data under `root`, by the first of the module's layouts that is there; and how
    often training shows each, by stem, where index.csv says so."""
    if not root.is_dir():
        raise MissingError(f"dataset.root {root} is not a folder")

    def pairs_of(images: Path, masks: Path) -> list[Pair]:
        found = images_in(images)
        return match_pairs(found, truths.truths_in(masks, by_stem(found)), unmatched)

    parts = {}
    for part in PARTS:
        for images, masks in (
            (root / part / "images", root / part / "masks"),
            (root / "images" / part, root / "masks" / part),
        ):
            if images.is_dir() and masks.is_dir():
                parts[part] = pairs_of(images, masks)
    if parts:
        if options.fold is not None:
            raise ConfigError(f"fold={options.fold}: the folders of {root} say who is in which split")
        return parts, {}
    images, masks = root / "images", root / "masks"
    if not (images.is_dir() and masks.is_dir()):
        raise MissingError(f"{root} must hold images/ and masks/, or train/, val/, test/ with both in each")
    pairs = pairs_of(images, masks)
    if not pairs:
        raise MissingError(_without_pairs(images, masks))
    return _divide(pairs, root / "index.csv", options)


def _without_pairs(images: Path, masks: Path) -> str:
    """Why no image has a mask."""
    found, truths = images_in(images), images_in(masks)
    if not found:
        return f"{images} holds no image"
    if not truths:
        return f"{masks} holds no mask for the {len(found)} image(s) in {images}"
    return (
        f"no mask in {masks} has the stem of an image in {images}: {truths[0].name} does not go with "
        f"{found[0].name}; name masks as their images, or all with one ending such as _mask"
    )


def _divide(pairs: list[Pair], index: Path, options: FolderOptions) -> tuple[dict[str, list[Pair]], dict[str, int]]:
    """The parts and repetitions of the flat layout."""
    fold, val_fraction = options.fold, options.val_fraction
    stems = [stem for stem, _, _ in pairs]
    rows = _read_index(index, stems, options) if index.is_file() else {}
    groups = {stem: row["group"] for stem, row in rows.items() if row.get("group")}
    if any("split" in row for row in rows.values()):
        if fold is not None:
            raise ConfigError(f"fold={fold}: {index} says who is in which split; use_split=false leaves that out")
        split_of = {stem: row["split"] for stem, row in rows.items()}
        _check_groups(index, split_of, groups)
    elif fold is not None:
        folds = group_folds(stems, groups)
        split_of = {stem: "val" if folds[stem] == fold else "train" for stem in stems}
    elif val_fraction == 0:
        split_of = dict.fromkeys(stems, "train")
    else:
        _, val = seeded_split(stems, groups, val_fraction, options.seed)
        split_of = {stem: "val" if stem in val else "train" for stem in stems}
    parts = {part: [pair for pair in pairs if split_of[pair[0]] == part] for part in PARTS}
    return parts, {stem: int(row["repeat"]) for stem, row in rows.items() if "repeat" in row}


def _read_index(index: Path, stems: list[str], options: FolderOptions) -> dict[str, dict[str, str]]:
    """The rows of index.csv by stem, its columns by their usual names; each stem has one."""
    try:
        with index.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            rows = [(reader.line_num, {k: (v or "").strip() for k, v in row.items() if k}) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{index} is not a table of comma-separated UTF-8 text ({error})") from error
    if options.group != "group" and options.group not in columns:
        raise DataError(f"{index} has no column {options.group!r} of groups; it has {', '.join(map(repr, columns))}")
    columns, rows = _by_usual_names(list(columns), rows, options)
    if "stem" not in columns or not ({"split", "group"} & set(columns) or not options.use_split):
        has = ", ".join(map(repr, columns)) or "no columns"
        hint = " (separate them by commas)" if any(set(";\t") & set(column) for column in columns) else ""
        raise DataError(f"{index} needs the columns stem, and split or group; it has {has}{hint}")
    known, found = set(stems), {}
    for line, row in rows:
        where = f"{index} line {line}"
        if row["stem"] in found:
            raise DataError(f"{where}: the stem {row['stem']!r} is there twice")
        if row["stem"] not in known:
            advice = (
                "write it without its suffix" if Path(row["stem"]).stem in known else "add it, or take the line out"
            )
            raise DataError(f"{where}: there is no image {row['stem']!r}; {advice}")
        if "split" in columns:
            row["split"] = row["split"].lower()
            if row["split"] not in PARTS:
                raise DataError(f"{where}: the split is {row['split']!r}; it must be train, val or test")
        if "repeat" in row and not (row["repeat"].isdecimal() and 1 <= int(row["repeat"]) <= MOST_REPEATS):
            raise DataError(f"{where}: repeat is {row['repeat']!r}; it must be a whole number from 1 to {MOST_REPEATS}")
        found[row["stem"]] = row
    if missing := sorted(known - set(found)):
        raise DataError(f"{index} has no line for {missing[0]!r} ({len(missing)} of {len(stems)} images)")
    return found


def _by_usual_names(
    columns: list[str], rows: list[tuple[int, dict[str, str]]], options: FolderOptions
) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Call the column of stems `stem` and that of groups `group`, and leave out a split that does not count."""
    usual = {options.group: "group"}
    if "stem" not in columns:
        usual["name"] = "stem"
    dropped = {"group"} - {options.group} | (set() if options.use_split else {"split"})
    kept = [column for column in columns if column not in dropped]
    named = [(line, {usual.get(k, k): v for k, v in row.items() if k in kept}) for line, row in rows]
    return [usual.get(column, column) for column in kept], named


def _check_groups(index: Path, split_of: dict[str, str], groups: dict[str, str]) -> None:
    part_of: dict[str, str] = {}
    for stem, group in groups.items():
        if part_of.setdefault(group, split_of[stem]) != split_of[stem]:
            raise DataError(
                f"{index} puts the group {group!r} into {part_of[group]} and into {split_of[stem]} ({stem}); "
                "a group must stay in one split"
            )


def _check_sizes(pairs: list[Pair]) -> None:
    """From the headers, so that a wrong pair is found before hours of training, not in the midst of them."""
    for _, image, mask in pairs:
        size, mask_size = read_size(image), read_size(mask)
        if size and mask_size and size != mask_size:
            sizes = f"{image} is {size[0]} x {size[1]}, {mask} is {mask_size[0]} x {mask_size[1]}"
            raise DataError(f"{sizes} (height x width): they must be of one size")
