"""Objects from one format into another: label maps, GeoJSON, COCO, Labelme, regions of ImageJ."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from segdiff.data.annotations import is_annotation, read_annotations
from segdiff.data.annotations.coco import CocoFile, coco_parts
from segdiff.data.annotations.geojson import feature, packed, write_features
from segdiff.data.annotations.imagej import roi_zip
from segdiff.data.annotations.labelme import labelme_file
from segdiff.data.annotations.outlines import outlines
from segdiff.data.annotations.polygons import valid_polygons
from segdiff.data.annotations.rasterise import check_inside, cover, is_degenerate, rasterise
from segdiff.data.annotations.shapes import AnnotatedPicture, Annotation
from segdiff.data.datasets.pairs import by_stem, stem_of
from segdiff.data.images import IMAGE_SUFFIXES, images_in, read_image, read_size
from segdiff.data.masks import foreground, instances, read_mask
from segdiff.data.object_files import CLASS_NAME, write_labels
from segdiff.data.writers import atomic
from segdiff.errors import ConfigError, DataError, MissingError, OutputError, UserError
from segdiff.workflows.progress import Progress

SUFFIXES = {"labels": ".tif", "geojson": ".geojson", "coco": ".json", "labelme": ".json", "roi": ".zip"}
COCO_NAME = "coco.json"  # one file for all pictures
NEED_SIZE = ("labels", "coco", "labelme")


@dataclass(frozen=True)
class ConvertOptions:
    """What a conversion may be told.

    Attributes:
        to: a key of `SUFFIXES`.
        images: the pictures, a folder or a file: their size and name, which some formats need and some do not hold.
        class_name: of objects that have none.
        classes: of the objects that are converted; None: all.
        outline: "cell" or "nucleus", of QuPath's cells; None refuses them.
        objects: "auto": masks of several values number their objects, in others each connected part is one;
            "instances": every mask numbers them.
        overwrite: replace files that exist; inputs are never replaced.
    """

    to: str
    images: Path | None = None
    class_name: str = CLASS_NAME
    classes: tuple[str, ...] | None = None
    outline: str | None = None
    objects: str = "auto"
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.to not in SUFFIXES:
            raise ConfigError(f"no format {self.to!r}; there are {', '.join(SUFFIXES)}")


@dataclass(frozen=True)
class Converted:
    """What became of one picture's objects.

    Attributes:
        source: the file they were in.
        path: the file they are in now.
        objects: how many were written.
        notes: what a person should know of, in words.
    """

    source: Path
    path: Path
    objects: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Source:
    """The objects of one picture, not read yet."""

    stem: str
    path: Path
    held: CocoFile | None = None


def convert(
    inputs: Sequence[str | Path], output_dir: str | Path, options: ConvertOptions, progress: Progress | None = None
) -> tuple[list[Converted], list[str]]:
    """Convert masks and annotations; one that fails does not stop the others, but for COCO, which is one file.

    Args:
        inputs: files, or folders of masks and annotations.
        output_dir: made if it does not exist.
        progress: told how far it is.
    Returns:
        What was written, and what went wrong with the others, a line each.
    Raises:
        MissingError: an input is not there.
        ConfigError: a file exists already, or would be written twice, or would replace an input.
        UserError: with COCO, an input that cannot be read.
    """
    paths, folder = _expand(inputs), Path(output_dir)
    sources, failures = _sources(paths, options)
    if options.to == "coco" and failures:
        raise DataError(failures[0])
    targets = _plan(sources, paths, folder, options)
    images = _images(options.images)
    if options.to == "coco":
        return _to_coco(sources, folder / COCO_NAME, images, options, progress), []
    done: list[Converted] = []
    for number, (source, target) in enumerate(zip(sources, targets, strict=True)):
        if progress is not None:
            progress(number, len(sources), source.path.name)
        try:
            done.append(_convert_one(source, target, images, options))
        except OutputError:
            raise
        except UserError as error:
            failures.append(str(error))
    return done, failures


def _convert_one(source: _Source, target: Path, images: dict[str, Path] | None, options: ConvertOptions) -> Converted:
    picture, notes = _read(source, images, options)
    if options.to == "labels":
        assert picture.size is not None
        labels, report = rasterise(picture.annotations, *picture.size, small_on_top=True)
        if report["hidden"]:
            notes.append(f"{report['hidden']} objects have no pixel of their own and are left out")
        covered = sum(int(cover(one, *picture.size).pixels.sum()) for one in picture.annotations)
        if covered > np.count_nonzero(labels):
            notes.append("objects overlap: the smaller one keeps the pixels, a label map has one object a pixel")
        if names := sorted(picture.classes() - {options.class_name}):
            notes.append(f"a label map has no classes: {', '.join(names)} became one (--only chooses)")
        write_labels(target, labels)
        return Converted(source.path, target, int(labels.max(initial=0)), tuple(notes))
    if options.to == "geojson":
        parts = [(valid_polygons(one), one.class_name) for one in picture.annotations]
        identity = f"{picture.picture or source.stem}#"
        features = (
            feature(polygons, name, f"{identity}{number}", kind="annotation")
            for number, (polygons, name) in enumerate(parts, start=1)
            if polygons
        )
        written = write_features(target, features)
        return Converted(source.path, written, sum(bool(polygons) for polygons, _ in parts), tuple(notes))
    if options.to == "labelme" and images is not None:  # Labelme opens the picture by its path from the file
        relative = os.path.relpath(images[source.stem], target.parent)
        picture = replace(picture, picture=Path(relative).as_posix())
    content = labelme_file(picture) if options.to == "labelme" else roi_zip(picture.annotations, str(source.path))
    with atomic(target) as file:
        file.write(content)
    return Converted(source.path, target, len(picture.annotations), tuple(notes))


def _to_coco(
    sources: list[_Source],
    target: Path,
    images: dict[str, Path] | None,
    options: ConvertOptions,
    progress: Progress | None,
) -> list[Converted]:
    done: list[Converted] = []

    def pictures() -> Iterator[AnnotatedPicture]:
        for number, source in enumerate(sources):
            if progress is not None:
                progress(number, len(sources), source.path.name)
            picture, notes = _read(source, images, options)
            done.append(Converted(source.path, target, len(picture.annotations), tuple(notes)))
            yield picture

    with atomic(target) as file:
        file.writelines(coco_parts(pictures()))
    return done


def _read(
    source: _Source, images: dict[str, Path] | None, options: ConvertOptions
) -> tuple[AnnotatedPicture, list[str]]:
    """The objects of a source as they are to be written, with size and name of the picture where the format needs
    them; and notes."""
    picture, notes = _picture(source, options)
    picture = _with_image(picture, source, images, options)
    if picture.size is not None:
        check_inside(picture.annotations, *picture.size, str(source.path))
    chosen = picture.only(options.classes)
    if options.classes is not None and not chosen.annotations and picture.annotations:
        held = ", ".join(sorted(picture.classes())) or "no classes"
        notes.append(f"no object is of these classes; the file has {held}")
    found: list[Annotation] = []
    lost = 0
    for one in chosen.annotations:
        empty = one.bitmap is not None and not one.polygons and not one.bitmap.pixels.any()
        if is_degenerate(one) or empty:
            lost += 1
        else:
            found.append(one if one.class_name is not None else replace(one, class_name=options.class_name))
    left = {**picture.left_out, **({"objects without area": lost} if lost else {})}
    notes += [f"{count} {what} left out" for what, count in left.items()]
    return replace(chosen, annotations=found), notes


def _picture(source: _Source, options: ConvertOptions) -> tuple[AnnotatedPicture, list[str]]:
    if source.held is not None:
        return source.held[source.stem], []
    if is_annotation(source.path):
        return read_annotations(source.path, options.outline)[None], []
    mask = read_mask(source.path)
    labels = instances(mask, sure=options.objects == "instances")
    notes = []
    if labels is None:
        from skimage.measure import label

        binary = foreground(mask)
        if mask.ndim == 2 and mask.dtype != np.bool_ and len(np.unique(mask[binary > 0])) > 1:
            raise DataError(
                f"{source.path} has values of many parts each, which may be classes: --objects instances takes "
                "each value for one object"
            )
        if options.objects == "instances":
            labels = binary.astype(np.int32)
        else:
            labels = label(binary, connectivity=2).astype(np.int32)
            notes = ["the mask does not number its objects: each connected part is one"] if labels.max() > 1 else []
    found = [Annotation(polygons) for _, polygons in outlines(labels)]
    return AnnotatedPicture(found, (labels.shape[0], labels.shape[1]), source.path.name), notes


def _with_image(
    picture: AnnotatedPicture, source: _Source, images: dict[str, Path] | None, options: ConvertOptions
) -> AnnotatedPicture:
    """With size and name of the image, if images are given."""
    if images is None:
        if options.to in NEED_SIZE and (picture.size is None or picture.picture is None):
            raise DataError(f"{source.path} does not say how large its picture is: give --images with the pictures")
        return picture
    if source.stem not in images:
        raise MissingError(f"there is no image of the stem {source.stem} for {source.path}")
    image = images[source.stem]
    size = read_size(image) or read_image(image).shape[:2]
    if picture.size is not None and picture.size != tuple(size):
        here, there = (" x ".join(map(str, pair)) for pair in (picture.size, size))
        raise DataError(f"{source.path} is of a picture of {here} pixels, {image} is {there} (height x width)")
    return replace(picture, size=(int(size[0]), int(size[1])), picture=image.name)


def _expand(inputs: Sequence[str | Path]) -> list[Path]:
    """Files, and the masks and annotations of folders, each once."""
    found: dict[Path, Path] = {}
    for path in map(Path, inputs):
        if not path.exists():
            raise MissingError(f"no such file or folder: {path}")
        held = [path]
        if path.is_dir():
            files = [one for one in path.iterdir() if is_annotation(one) and not one.name.startswith(".")]
            held = sorted([*images_in(path), *files])
            if not held:
                raise MissingError(f"{path} holds no mask and no annotation")
        for one in held:
            found.setdefault(one.resolve(), one)
    return list(found.values())


def _sources(paths: Sequence[Path], options: ConvertOptions) -> tuple[list[_Source], list[str]]:
    """The pictures in these files, and what went wrong with others."""
    sources: list[_Source] = []
    failures = []
    for path in paths:
        try:
            if not is_annotation(path) and path.suffix.lower() not in IMAGE_SUFFIXES:
                raise DataError(f"{path} is neither a mask nor an annotation by its name")
            held = (
                read_annotations(path, options.outline) if path.name.lower().endswith((".json", ".json.gz")) else None
            )
            if isinstance(held, CocoFile):
                sources += [_Source(str(stem), path, held) for stem in held]
            else:
                sources.append(_Source(stem_of(path), path))
        except UserError as error:
            failures.append(str(error))
    return sources, failures


def _plan(sources: list[_Source], inputs: list[Path], folder: Path, options: ConvertOptions) -> list[Path]:
    """The file of each source; ConfigError before any work where that would lose one."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file: choose another output folder")
    if options.to == "coco":
        targets = [folder / COCO_NAME] if sources else []
    else:
        targets = [folder / f"{source.stem}{SUFFIXES[options.to]}" for source in sources]
    seen: dict[str, _Source] = {}
    for source in sources:  # upper and lower case are one name on the file systems of macOS and Windows
        other = seen.setdefault(source.stem.casefold(), source)
        if other is not source:
            raise ConfigError(f"{other.path} and {source.path} both hold {source.stem}: convert them apart")
    kept = {path.resolve() for path in inputs}
    for target in targets:
        for path in (target, packed(target)) if options.to == "geojson" else (target,):
            if path.resolve() in kept:
                raise ConfigError(f"{path} is an input: choose another output folder, inputs are not replaced")
            if path.exists() and not options.overwrite:
                raise ConfigError(f"{path} exists: choose another output folder, or --overwrite")
    return targets


def _images(given: Path | None) -> dict[str, Path] | None:
    if given is None:
        return None
    if not given.exists():
        raise MissingError(f"no such image or folder: {given}")
    return by_stem(images_in(given) if given.is_dir() else [given])
