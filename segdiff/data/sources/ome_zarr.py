"""OME-Zarr 0.4 and 0.5 as image sources, and plain Zarr arrays; needs segdiff[zarr]."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.sources.base import ImageSource, Level
from segdiff.data.sources.pixel_size import MICROMETRES, UNKNOWN, PixelSize
from segdiff.data.windows import Window
from segdiff.errors import ConfigError, DataError

ZIP_SUFFIX = ".zarr.zip"
_MARKS = (".zgroup", ".zarray", "zarr.json")
_CHANNEL_NAMES = ("c", "s")  # of axes without a type; "s" is what others write for the samples of RGB


def is_zarr(path: Path) -> bool:
    """Tell whether a path is a Zarr folder, or a zipped one by its name."""
    if path.is_dir():
        return any((path / mark).is_file() for mark in _MARKS)
    return path.name.lower().endswith(ZIP_SUFFIX) and path.is_file()


class ZarrSource(ImageSource):
    """An image of an OME-Zarr group, or a plain Zarr array (H, W) or (H, W, C).

    Args:
        path: the folder, or a zipped one (`.zarr.zip`). A group written by bioformats2raw holds its images in folders
            0, 1, ...; where there are several, the path names one: slide.zarr/0.
    Raises:
        ConfigError: zarr is not installed. DataError: no image of these kinds, or a stack.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.name = Path(path), str(path)
        self.is_slide = True
        group, arrays, axes = self._open()
        shape = [int(n) for n in arrays[0].shape]
        self._arrays, self._axes = arrays, axes
        self._channel = next((n for n, kind in enumerate(axes) if kind == "c"), None)
        stacked = [f"{n} ({axes[d]})" for d, n in enumerate(shape) if axes[d] not in "yxc" and n > 1]
        if stacked:
            raise DataError(f"{path} is a stack of {' x '.join(stacked)} pictures; save the one you mean as an image")
        size = (shape[axes.index("y")], shape[axes.index("x")])
        # A single channel is a grey image, whichever way it is written.
        channels = 1 if self._channel is None else shape[self._channel]
        self.shape = size if channels == 1 else (*size, channels)
        self.dtype = np.dtype(arrays[0].dtype)
        if 0 in shape:
            raise DataError(f"{path} holds an empty image, {tuple(shape)}")
        self.levels = tuple(Level.of(self._size(array), size) for array in arrays)
        chunks = arrays[0].chunks
        self.tile = (int(chunks[axes.index("y")]), int(chunks[axes.index("x")]))
        self.mpp = UNKNOWN if group is None else _pixel_size(group, axes)

    def __reduce__(self) -> tuple[Any, ...]:
        return ZarrSource, (self.path,)

    def _open(self) -> tuple[dict[str, Any] | None, list[Any], list[str]]:
        """The multiscale metadata (None for a plain array), the arrays of its levels, and what their axes are."""
        try:
            import zarr
            from zarr.storage import ZipStore
        except ImportError:
            raise ConfigError(
                f"{self.path} is Zarr, which needs another package: pip install 'segdiff[zarr]'"
            ) from None
        try:
            zipped = self.path.name.lower().endswith(ZIP_SUFFIX) and self.path.is_file()
            node = zarr.open(ZipStore(self.path, mode="r") if zipped else str(self.path), mode="r")
            if isinstance(node, zarr.Array):
                return None, [node], _plain_axes(node.shape, self.name)
            group = self._image_group(node)
            multiscale = _multiscales(group)[0]
            arrays = [group[one["path"]] for one in multiscale["datasets"]]
            axes = _axis_kinds(multiscale.get("axes"), arrays[0].ndim, self.name)
        except (DataError, ConfigError):
            raise
        except Exception as error:  # zarr, its codecs and the JSON in it have errors of their own
            text = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise DataError(f"{self.path} is not an OME-Zarr image that can be read ({text})") from error
        return multiscale, arrays, axes

    def _image_group(self, group: Any) -> Any:
        if _multiscales(group):
            return group
        if "plate" in _attributes(group):
            raise DataError(f"{self.path} is a plate of many images; name one of them: {self.path}/A/1/0")
        images = [name for name, one in sorted(group.groups()) if _multiscales(one)]
        if len(images) == 1:
            return group[images[0]]
        if images:
            raise DataError(f"{self.path} holds {len(images)} images; name one of them: {self.path}/{images[0]}")
        raise DataError(f"{self.path} is a Zarr group without the metadata of OME-Zarr (multiscales)")

    def _size(self, array: Any) -> tuple[int, int]:
        return int(array.shape[self._axes.index("y")]), int(array.shape[self._axes.index("x")])

    def _read(self, window: Window, level: int) -> NDArray[Any]:
        places = {"y": window.rows, "x": window.columns, "c": slice(None)}
        key = tuple(places.get(kind, 0) for kind in self._axes)
        try:
            part = np.asarray(self._arrays[level][key])
        except Exception as error:  # of the codecs and the store
            text = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise DataError(f"{self.path} is damaged: {window} cannot be read ({text})") from error
        kept = [kind for kind in self._axes if kind in places]
        order = [kept.index(kind) for kind in ("y", "x", "c") if kind in kept]
        return part.transpose(order).reshape(window.height, window.width, *self.shape[2:])


def _attributes(group: Any) -> dict[str, Any]:
    """The OME metadata: below "ome" in 0.5, at the top in 0.4."""
    attributes = dict(group.attrs)
    return attributes.get("ome", attributes)


def _multiscales(group: Any) -> list[dict[str, Any]]:
    found = _attributes(group).get("multiscales")
    return found if isinstance(found, list) else []


def _axis_kinds(axes: Any, dimensions: int, name: str) -> list[str]:
    """y, x, c for channels, or the axis's own name: z, t. Before 0.4 axes were t, c, z, y, x."""
    if axes is None:
        return list("tczyx")[5 - dimensions :]
    kinds = []
    for axis in axes:
        label = axis["name"] if isinstance(axis, dict) else str(axis)
        kind = axis.get("type") if isinstance(axis, dict) else None
        kinds.append("c" if kind == "channel" or label in _CHANNEL_NAMES else label)
    if sorted(kind for kind in kinds if kind in "yxc") not in (["x", "y"], ["c", "x", "y"]):
        raise DataError(f"{name} has the axes {', '.join(kinds)}; an image has y and x, and channels at most once")
    return kinds


def _plain_axes(shape: tuple[int, ...], name: str) -> list[str]:
    if len(shape) not in (2, 3):
        raise DataError(f"{name} is a Zarr array of shape {tuple(shape)}; an image has (H, W) or (H, W, C)")
    return ["y", "x", "c"][: len(shape)]


def _pixel_size(multiscale: dict[str, Any], axes: list[str]) -> PixelSize:
    units = [
        axis.get("unit") if isinstance(axis, dict) else None for axis in multiscale.get("axes") or [None] * len(axes)
    ]
    sizes = []
    for name in ("x", "y"):
        at = axes.index(name)
        scale = _scale(multiscale["datasets"][0], at) * _scale(multiscale, at)
        unit = MICROMETRES.get(str(units[at] or "").lower())
        sizes.append(None if unit is None or not scale else scale * unit)
    x, y = sizes
    return UNKNOWN if x is None or y is None else PixelSize.checked(x, y, "OME-Zarr scale")


def _scale(holder: dict[str, Any], axis: int) -> float:
    """The scale that a data set or the whole multiscale states for an axis; 1 where it states none."""
    for transformation in holder.get("coordinateTransformations") or []:
        if transformation.get("type") == "scale":
            return float(transformation["scale"][axis])
    return 1.0
