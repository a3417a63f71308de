"""Protocols of scoring: what is resized, cut and compared. They never fix how a model samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segdiff.data.datasets.base import Sample
from segdiff.errors import ConfigError


@dataclass(frozen=True)
class Protocol:
    """How images reach a model and how its masks are scored.

    Attributes:
        name: as in `PROTOCOLS`.
        resize: (height, width) that image and truth are resized to before anything else; None: as they are.
        window: side of the windows in pixels; None: the model's own setting.
        overlap: of neighbouring windows, as a share of the window; None: the model's own setting.
        adapt_scale: whether the predictor may resize the image to the model's micrometres per pixel.
        kinds: the data sets it is defined for; None: any.
    """

    name: str
    resize: tuple[int, int] | None = None
    window: int | None = None
    overlap: float | None = None
    adapt_scale: bool = True
    kinds: tuple[str, ...] | None = None

    def prepare(self, sample: Sample) -> Sample:
        """The sample as the protocol shows it to the model and scores it."""
        return sample if self.resize is None else resize_sample(sample, self.resize)

    def mpp(self, mpp: float | None, height: int) -> float | None:
        """Micrometres per pixel after `prepare` of an image of that height; None stays None."""
        if mpp is None or self.resize is None:
            return mpp
        return mpp * height / self.resize[0]


PROTOCOLS = {
    # As published for MoNuSeg: 512 x 512, four windows side by side.
    "paper": Protocol("paper", (512, 512), window=256, overlap=0.0, adapt_scale=False, kinds=("monuseg",)),
    # The images as they are.
    "native": Protocol("native"),
}


def get_protocol(name: str, kind: str) -> Protocol:
    """The protocol of that name for data sets of that kind.

    Raises:
        ConfigError: no such protocol, or it is not defined for this kind.
    """
    if name not in PROTOCOLS:
        raise ConfigError(f"no protocol {name!r}; there are {', '.join(sorted(PROTOCOLS))}")
    protocol = PROTOCOLS[name]
    if protocol.kinds is not None and kind not in protocol.kinds:
        raise ConfigError(
            f"protocol {name!r} is defined for {', '.join(protocol.kinds)}, not for {kind}: take 'native'"
        )
    return protocol


def resize_sample(sample: Sample, size: tuple[int, int]) -> Sample:
    """Resize by Pillow: BILINEAR (it averages when it shrinks) for the image, NEAREST for the truth."""
    return Sample(
        sample.name,
        resize_image(sample.image, size),
        _resize_planes(sample.mask, size),
        None if sample.instances is None else _resize_planes(sample.instances, size),
    )


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (H, W, 3) to (*size, 3) by Pillow's BILINEAR; uint8 stays uint8, floats stay floats."""
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


def _resize_planes(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize the last two axes by Pillow's NEAREST; uint8 or int32."""
    from PIL import Image

    height, width = size
    if array.shape[-2:] == size:
        return array
    planes = []
    for plane in array.reshape(-1, *array.shape[-2:]):
        picture = Image.fromarray(np.ascontiguousarray(plane))
        planes.append(np.array(picture.resize((width, height), Image.Resampling.NEAREST)))
    return np.stack(planes).reshape(*array.shape[:-2], *size)
