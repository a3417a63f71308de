"""Resizing images and truths, as the protocols need it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def resize_image(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Resize (H, W, 3) to (*size, 3) by Pillow's BILINEAR, which averages where it shrinks; the type is kept."""
    from PIL import Image

    if image.shape[:2] == size:
        return image
    height, width = size
    if image.dtype == np.uint8:
        return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    planes = []
    for plane in np.moveaxis(image, 2, 0):  # Pillow has one channel of floats at most
        picture = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
        planes.append(np.array(picture.resize((width, height), Image.Resampling.BILINEAR)))
    return np.stack(planes, axis=2)


def pad_to(array: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Mirror (h, w, ...) at the bottom and right up to (height, width, ...): no black that no image has."""
    rows, columns = max(0, height - array.shape[0]), max(0, width - array.shape[1])
    if not rows and not columns:
        return array
    return np.pad(array, ((0, rows), (0, columns), *((0, 0),) * (array.ndim - 2)), mode="reflect")


def resize_truth(array: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Resize the last two axes by Pillow's NEAREST; uint8 or int32, which stay."""
    from PIL import Image

    height, width = size
    if array.shape[-2:] == size:
        return array
    planes = []
    for plane in array.reshape(-1, *array.shape[-2:]):
        picture = Image.fromarray(np.ascontiguousarray(plane))
        planes.append(np.array(picture.resize((width, height), Image.Resampling.NEAREST)))
    return np.stack(planes).reshape(*array.shape[:-2], *size)


def interpolate(image: NDArray[Any], size: tuple[int, int], antialias: bool) -> NDArray[np.float32]:
    """Resize (H, W, C) to float32 (*size, C) by PyTorch, bilinearly; with `antialias` averaging where it shrinks."""
    import torch

    planes = torch.from_numpy(np.moveaxis(image, 2, 0).astype(np.float32))[None]
    resized = torch.nn.functional.interpolate(planes, size, mode="bilinear", antialias=antialias)
    return np.ascontiguousarray(np.moveaxis(resized[0].numpy(), 0, 2))


def to_grid(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """(H, W, C) to (*size, C) as the published Cityscapes crops: bilinear, no averaging; uint8 is rounded again."""
    resized = interpolate(image, size, antialias=False)
    return np.rint(resized).astype(np.uint8) if image.dtype == np.uint8 else resized


def truth_to_grid(array: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """The last two axes to `size` as the published Cityscapes masks: the pixel under each upper left corner."""
    rows, columns = (np.arange(new) * old // new for new, old in zip(size, array.shape[-2:], strict=True))
    return array[..., rows[:, None], columns]
