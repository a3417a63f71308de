"""Truths that were drawn: annotation files in the place of masks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from segdiff.data.annotations import JSON, is_annotation, read_annotations
from segdiff.data.annotations.coco import CocoFile, is_coco
from segdiff.data.annotations.files import parse_json
from segdiff.data.annotations.rasterise import check_inside, rasterise
from segdiff.data.annotations.shapes import NO_AREA, AnnotatedPicture
from segdiff.data.datasets.pairs import by_stem, stem_of
from segdiff.data.images import images_in
from segdiff.errors import ConfigError, DataError


class DrawnTruths:
    """Finds annotation files beside masks and makes label maps of them.

    Args:
        classes: of the objects that count; None: all.
    """

    def __init__(self, classes: Sequence[str] | None = None) -> None:
        self.classes = classes
        self._of_several: dict[Path, CocoFile] = {}

    def truths_in(self, folder: Path, stems: Collection[str]) -> dict[str, Path]:
        """The masks and annotations of a folder by the stem of their image.

        A COCO file stands for every image that it lists. Other JSON and zip files whose stem is none of `stems` are no
        truths.

        Raises:
            DataError: two truths of one stem, or a COCO file at fault.
        """
        files = [path for path in sorted(folder.iterdir()) if is_annotation(path) and not path.name.startswith(".")]
        own = [path for path in files if stem_of(path) in stems or path.name.lower().endswith((".geojson", ".roi"))]
        shared = [path for path in files if path not in own and path.name.lower().endswith(JSON)]
        found = by_stem([*images_in(folder), *own])
        for path in filter(self._load_coco, shared):
            for stem in map(str, self._of_several[path]):
                if stem in found:
                    raise DataError(f"{found[stem]} and {path} both have the truth of {stem}: keep one of them")
                found[stem] = path
        return found

    def check_classes(self, truths: Iterable[tuple[str, Path]]) -> None:
        """Refuse classes that no annotation has.

        Args:
            truths: stem and file of each.
        Raises:
            ConfigError: with the classes that there are.
        """
        if self.classes is None:
            return
        there: set[str] = set()
        for stem, path in truths:
            if is_annotation(path):
                there |= self._picture(path, stem).classes()
        for name in self.classes:
            if name not in there:
                held = ", ".join(sorted(there)) or "no classes"
                raise ConfigError(f"no object is of the class {name!r}; the annotations have {held}")

    def labels(self, path: Path, stem: str, size: tuple[int, int]) -> tuple[np.ndarray, bool]:
        """The label map of an image.

        Args:
            path: of the annotation.
            stem: of the image.
            size: (height, width) of the image.
        Returns:
            int32 (H, W), 0 the background, 1, 2, ... the objects in the order of the file, the smaller one on top where
            they overlap; and whether they are told apart (COCO's crowds are not).
        Raises:
            DataError: of another size, objects outside the image, or nothing with an area in it.
        """
        picture = self._picture(path, stem)
        if picture.size is not None and picture.size != size:
            here, there = (" x ".join(map(str, pair)) for pair in (size, picture.size))
            raise DataError(f"{path} is of a picture of {there} pixels, the image {stem} is {here} (height x width)")
        if not picture.annotations and picture.left_out.get(NO_AREA):
            raise DataError(f"{path} holds points or lines only, which have no area")
        check_inside(picture.annotations, *size, str(path))
        chosen = picture.only(self.classes).annotations
        labels, _ = rasterise(chosen, *size, small_on_top=True)
        return labels, not any(one.crowd for one in chosen)

    def _picture(self, path: Path, stem: str) -> AnnotatedPicture:
        held: Mapping[str | None, AnnotatedPicture] = self._of_several.get(path) or read_annotations(path)
        if None not in held and stem not in held:
            raise DataError(f"{path} is a COCO file that does not list the image {stem}")
        return held[None] if None in held else held[stem]

    def _load_coco(self, path: Path) -> bool:
        """Whether a file is COCO; kept, since it is read for each of its images."""
        try:
            content = parse_json(path.read_bytes(), path)
        except DataError:
            return False
        if is_coco(content):
            self._of_several[path] = CocoFile(content, path)
        return path in self._of_several
