"""Which picture of a TIFF is meant: directories, stacks, channels and pyramids, however the file orders them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.stored import ReadOptions, count
from segdiff.errors import DataError

STACK = "choose one (segdiff predict --page N; --z N, middle or max where they are planes of one depth)"
ADDED = ("Thumbnail", "Label", "Macro")  # tifffile's names for what scanners put beside a slide
NARROW, LEAST_SIDE = 8, 16  # pixels: of what is no picture of its own, and of what is one
NAMES = {"Z": "planes (z)", "C": "channels", "T": "times", "Q": "pictures", "I": "pictures"}


@dataclass(frozen=True)
class Plane:
    """A picture of a series: an index for each of its further axes, a slice where the largest value is taken.

    Attributes:
        series: tifffile's.
        index: by axis.
        channel_chosen: `--channel` was one of these axes, not of the samples of a pixel.
        more: further series of the same pictures, of which the largest value is taken, too.
    """

    series: Any
    index: dict[str, int | slice]
    channel_chosen: bool = False
    more: tuple[Any, ...] = ()

    @property
    def page(self) -> Any:
        """The directory that describes its pixels."""
        return self.series.keyframe

    @property
    def nbytes(self) -> int:
        """Memory that reading it takes."""
        height, width = picture_size(self.series)
        lengths = _lengths(self.series)
        whole = not _has_a_page_each(self.series)
        planes = prod(n for axis, n in lengths.items() if whole or isinstance(self.index.get(axis), slice))
        return int(height * width * planes * max(1, self.page.samplesperpixel) * self.page.dtype.itemsize)

    def read(self) -> NDArray[Any]:
        """(H, W) or (H, W, samples)."""
        if self.more:
            return _largest(Plane(one, self.index).read() for one in (self.series, *self.more))
        lengths = _lengths(self.series)
        if _has_a_page_each(self.series):
            chosen = np.arange(prod(lengths.values())).reshape(tuple(lengths.values()) or (1,))
            places = chosen[tuple(self.index[axis] for axis in lengths)] if lengths else chosen
            return _largest(self._page(int(place)) for place in np.ravel(places))
        whole = self.series.asarray()
        place = tuple(self.index.get(axis, slice(None)) for axis in self.series.axes)
        axes = [axis for axis in self.series.axes if not isinstance(self.index.get(axis), int)]
        return _image_last(whole[place], axes)

    def _page(self, place: int) -> NDArray[Any]:
        page = self.series.pages[place]
        if page is None:
            raise DataError(f"{self.series.parent.filename}: plane {place + 1} is not in this file")
        return _image_last(page.asarray(), list(page.axes))


def picture_size(series: Any) -> tuple[int, int]:
    """(height, width) of the pictures of a series."""
    height, width = (series.shape[series.axes.index(axis)] for axis in "YX")
    return int(height), int(width)


def choose_plane(path: Path, file: Any, options: ReadOptions, notes: list[str]) -> Plane:
    """Find the plane that the options choose; without a choice, the only one of the largest picture.

    Raises:
        DataError: several are as good, or there is no such page, plane or channel.
    """
    series = [_with_samples(one) for one in file.series if "Y" in one.axes and "X" in one.axes and 0 not in one.shape]
    if not series:
        raise DataError(f"{path} holds no picture")
    if options.page is not None and options.channel is options.z is None and _is_a_page_each(file, series):
        return _numbered_page(path, file, series, options.page)
    whole = [one for one in series if not _is_minor(one)] or series
    whole.sort(key=lambda one: prod(picture_size(one)), reverse=True)
    main = whole[0]
    rivals = [one for one in whole if picture_size(one) == picture_size(main)]
    if len(rivals) > 1:
        return _of_rivals(path, rivals, options)
    _tell_of_others(main, whole[1:], notes)
    return _of_series(path, main, options)


def _with_samples(series: Any) -> Any:
    """The series, or that of one picture where it was an array (H, W, C) that was written as H pictures of W x C.

    No picture is so narrow; programs that are not told the axes write colours and channels that way.
    """
    lengths = _lengths(series)
    height, width = picture_size(series)
    if len(lengths) != 1 or "S" in series.axes or width > NARROW or min(height, *lengths.values()) < LEAST_SIDE:
        return series
    shape = tuple(n for n in series.shape if n > 1 or len(series.shape) == 3)
    if len(shape) != 3 or not series.axes.endswith("YX"):
        return series
    return SimpleNamespace(
        axes="YXS",
        shape=shape,
        keyframe=series.keyframe,
        pages=(),  # of its own
        asarray=lambda: series.asarray().reshape(shape),
        parent=series.parent,
        name=series.name,
    )


def _is_minor(series: Any) -> bool:
    """Whether it is said to be a smaller version, a mask of transparency, or what a scanner adds."""
    return series.keyframe.is_reduced or series.keyframe.is_mask or series.name in ADDED


def _of_series(path: Path, series: Any, options: ReadOptions) -> Plane:
    """The plane of one series."""
    left = _lengths(series)
    index: dict[str, int | slice] = {}
    chosen = options.channel is not None and "C" in left
    if chosen:
        index["C"] = _within(path, "channel", options.channel, left.pop("C"))
    if options.z is not None:
        axis = "Z" if "Z" in left else next(iter(left)) if len(left) == 1 and "C" not in left else None
        if axis is None:
            raise DataError(f"{path} is not a stack{_listed(left)}: there is no --z to choose")
        index[axis] = _depth(path, options.z, left.pop(axis))
    if options.page is not None:
        place = _within(path, "page", options.page, prod(left.values()))
        index, left = index | _unravelled(place, left), {}
    if left:
        raise DataError(f"{path} is a stack{_listed(left)}: {_choices(left)}")
    return Plane(series, index, chosen)


def _of_rivals(path: Path, rivals: Sequence[Any], options: ReadOptions) -> Plane:
    """The picture of several series of one size, or the largest value of all."""
    single = all(not _lengths(one) and one.shape == rivals[0].shape for one in rivals)
    if options.z is not None and options.page is None and single:
        depth = _depth(path, options.z, len(rivals))
        return Plane(rivals[0], {}, more=tuple(rivals[1:])) if isinstance(depth, slice) else Plane(rivals[depth], {})
    pictures = sum(prod(_lengths(one).values()) for one in rivals)
    if options.page is None or options.z is not None:
        raise DataError(f"{path} is a stack of {pictures} pictures: {STACK}")
    place = _within(path, "page", options.page, pictures)
    for one in rivals:
        lengths = _lengths(one)
        if place < prod(lengths.values()):
            return Plane(one, _unravelled(place, lengths))
        place -= prod(lengths.values())
    raise AssertionError("the place is within")


def _numbered_page(path: Path, file: Any, series: Sequence[Any], number: int) -> Plane:
    """A directory by its number in the file, as other programs count them."""
    place = _within(path, "page", number, len(file.pages))
    for one in series:
        lengths = _lengths(one)
        for k, page in enumerate(one.pages):
            if page is not None and page.index == place:
                return Plane(one, _unravelled(k, lengths))
    raise DataError(f"{path}: page {number} is no picture of its own, but a smaller version of one")


def _lengths(series: Any) -> dict[str, int]:
    """The further axes of a series, in order: not those of a picture, nor the samples of a pixel."""
    return {axis: int(n) for axis, n in zip(series.axes, series.shape, strict=True) if axis not in "YXS" and n > 1}


def _has_a_page_each(series: Any) -> bool:
    """Whether each plane of a series is a directory of the file."""
    lengths = _lengths(series)
    further = {axis for axis in series.keyframe.axes if axis in lengths}
    return len(series.pages) == prod(lengths.values()) and not further


def _is_a_page_each(file: Any, series: Sequence[Any]) -> bool:
    return all(_has_a_page_each(one) for one in series) and len(file.pages) > 1


def _within(path: Path, option: str, number: int | None, there: int) -> int:
    """An option that counts from 1, as an index."""
    if number is None or number > there:
        raise DataError(f"{path} has {count(there, option)}: there is no --{option} {number}")
    return number - 1


def _depth(path: Path, z: int | str, there: int) -> int | slice:
    if z == "max":
        return slice(None)
    return there // 2 if z == "middle" else _within(path, "z", int(z), there)


def _listed(lengths: dict[str, int]) -> str:
    return f" of {' x '.join(f'{n} {NAMES.get(axis, axis)}' for axis, n in lengths.items())}" if lengths else ""


def _choices(left: dict[str, int]) -> str:
    """The options that would choose among what is left."""
    others = [axis for axis in left if axis not in "CZ"]
    if others and len(left) == 1:
        return STACK
    said = ["--channel N"] if "C" in left else []
    said += ["--z N, middle or max"] if "Z" in left else []
    said += ["--page N"] if others else []
    return f"choose one (segdiff predict {' '.join(said)})"


def _unravelled(place: int, lengths: dict[str, int]) -> dict[str, int | slice]:
    """The index along each axis of a plane by its number."""
    found = np.unravel_index(place, tuple(lengths.values())) if lengths else ()
    return {axis: int(k) for axis, k in zip(lengths, found, strict=True)}


def _tell_of_others(main: Any, others: Sequence[Any], notes: list[str]) -> None:
    """A word about smaller pictures that are no versions of the one that is read."""
    height, width = picture_size(main)
    left_out = []
    for one in others:
        h, w = picture_size(one)
        if abs(h * width - w * height) > max(height, width):  # not of the same proportions, to a pixel
            left_out.append(f"{h} x {w}")
    if left_out:
        sizes = ", ".join(left_out)
        notes.append(f"the largest of its pictures is read; {sizes} is left out (--page N chooses one)")


def _largest(planes: Any) -> NDArray[Any]:
    found: NDArray[Any] | None = None
    for plane in planes:
        found = plane if found is None else np.maximum(found, plane)
    assert found is not None
    return found


def _image_last(array: NDArray[Any], axes: list[str]) -> NDArray[Any]:
    """(H, W) or (H, W, samples) from an array with these axes; of others the largest value."""
    for place in reversed(range(len(axes))):
        if axes[place] not in "YXS":
            array = array.max(axis=place)
    order = [axis for axis in axes if axis in "YXS"]
    array = array.transpose([order.index(axis) for axis in "YXS" if axis in order])
    return np.ascontiguousarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array)
