"""Augmentation of training samples: the only module that knows albumentations.

Order: crop, flips, quarter turns, affine, colours, what cameras and files do (blur, noise, JPEG); the last two on the
image only. As published:

- affine: rotation and scale about the image's centre, neither translation nor shear; bilinear for the image,
  nearest for the mask; what comes from outside is 0 (black before normalisation, background in the mask);
- colour jitter: brightness, contrast, saturation and hue in random order, factors uniform in [1 - a, 1 + a],
  the hue shifted by a uniform part in [-h, h] of the colour circle. ColorJitter does so: all orders
  are as likely, and its hue is a part of the circle, 0.5 being half of it. On uint8 images the hue
  has steps of 2 degrees, rounded down (OpenCV has 180 to a circle).

An image smaller than the crop is padded at the right and bottom by reflection, and its mask likewise, so that
truth goes with picture.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from segdiff.data.resize import pad_to
from segdiff.errors import ConfigError

# Set before albumentations is imported: it asks the network for its newest version otherwise.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
import albumentations as A  # noqa: E402
import cv2  # noqa: E402  what albumentations works with
from skimage.color import hed_from_rgb, rgb_from_hed  # noqa: E402

BORDERS = {"black": cv2.BORDER_CONSTANT, "reflect": cv2.BORDER_REFLECT_101}
NUMBERS = (
    *("rotation", "brightness", "contrast", "saturation", "hue", "colour_mix", "stain", "counterstain", "grey"),
    *("exposure", "blur", "noise", "crop_statistics"),
)
DEGRADED = 0.3  # share of samples that are blurred, noisy, compressed: each by its own draw
WORST_JPEG = 10
LARGEST_CROP = 16384  # pixels: beyond is a slip that would take all memory


@dataclass(frozen=True)
class Settings:
    """What `conf/augmentation/*.yaml` holds; the defaults change nothing.

    Attributes:
        crop: side of the square random crop in pixels; None: the whole image.
        horizontal_flip, vertical_flip: with probability 1/2.
        rotate90: by 0, 90, 180 or 270 degrees, each as likely.
        rotation: in degrees, uniform in [-rotation, rotation].
        scale: uniform in [low, high]; above 1 enlarges.
        brightness, contrast, saturation: a of the factor, uniform in [max(0, 1 - a), 1 + a].
        hue: largest shift as a part of the colour circle, at most 0.5.
        colour_mix: standard deviation of each entry of a random 3 x 3 matrix that is added to the identity and mixes
            the channels about mid-grey, as other stains and scanners do; and, in parts of 128, of a shift of each.
        stain: the light that each stain of haematoxylin, eosin and DAB takes away (its optical density, after Ruifrok
            and Johnston 2001) is multiplied by a factor uniform in [1 - a, 1 + a], and shifted by a part of 1 uniform
            in [-a / 5, a / 5], each stain by its own: other laboratories and scanners (Tellez et al. 2018).
        counterstain: a cloudy pink like that of eosin is laid over the whole picture, of an optical density up to a
            number uniform in [0, a]: what a picture of haematoxylin alone lacks to look like everyday tissue.
        grey: share of samples that lose their colours.
        border: what lies outside of a rotated or shrunken image: "black", or "reflect", its mirror image.
        margin: the crop that is rotated and scaled is so many times larger than what is kept of it, so that real pixels
            lie around it where the picture has them.
        exposure: the logarithm of a factor for all channels, uniform in [-a, a]: how white a slide's glass is.
        blur: largest deviation in pixels of a Gaussian that blurs 3 samples in 10.
        noise: largest deviation of Gaussian noise of 3 samples in 10, as a part of the whole scale.
        jpeg: lowest quality of the JPEG compression of 3 samples in 10, 10 to 100; None: none.
        crop_statistics: share of samples that are normalised as if the crop were the whole picture
            (`segdiff.data.loader`): fields without any object are seen as they would be by themselves.
    """

    crop: int | None = None
    horizontal_flip: bool = False
    vertical_flip: bool = False
    rotate90: bool = False
    rotation: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    colour_mix: float = 0.0
    stain: float = 0.0
    counterstain: float = 0.0
    grey: float = 0.0
    border: str = "black"
    margin: float = 1.0
    exposure: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    jpeg: int | None = None
    crop_statistics: float = 0.0

    def __post_init__(self) -> None:
        if self.crop is not None and not 1 <= self.crop <= LARGEST_CROP:
            raise ConfigError(
                f"augmentation.crop is {self.crop}; give 1 to {LARGEST_CROP} pixels, or null for the whole image"
            )
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(f"augmentation.scale is {list(self.scale)}; give [low, high], 0 < low <= high")
        if self.border not in BORDERS:
            raise ConfigError(f"augmentation.border is {self.border}; known: {', '.join(BORDERS)}")
        for name in NUMBERS:
            if not getattr(self, name) >= 0:
                raise ConfigError(f"augmentation.{name} is {getattr(self, name)}; it must be 0 or more")
        if not 1 <= self.margin <= 4:
            raise ConfigError(f"augmentation.margin is {self.margin}; 1 to 4 is possible")
        if self.jpeg is not None and not WORST_JPEG <= self.jpeg <= 100:
            raise ConfigError(f"augmentation.jpeg is {self.jpeg}; a quality of {WORST_JPEG} to 100, or null for none")
        if self.stain > 1:
            raise ConfigError(f"augmentation.stain is {self.stain}; 1, which may take a stain away, is the most")
        for name in ("grey", "crop_statistics"):
            if getattr(self, name) > 1:
                raise ConfigError(f"augmentation.{name} is {getattr(self, name)}; it is a share of samples, at most 1")
        if self.hue > 0.5:
            raise ConfigError(f"augmentation.hue is {self.hue}; 0.5, half of the colour circle, is the most")


class Augmentation:
    """A callable that augments one sample as its seed says: the same inputs give the same outputs."""

    def __init__(self, settings: Settings) -> None:
        # On crops a second thread of OpenCV burns a core to save a tenth of 2 ms; training needs that core.
        cv2.setNumThreads(0)
        self.settings = settings
        self._geometry, self._colours, self._degradation = (
            A.Compose(chain) for chain in (_geometry(settings), _colours(settings), _degradation(settings))
        )

    def __call__(
        self, image: np.ndarray, mask: np.ndarray, seed: int, context: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray] | tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Augment an image and its mask.

        Args:
            image: (H, W, 3) on the 0..255 scale; uint8, or float32.
            mask: uint8 (M, H, W).
            seed: 0 or more.
            context: pixels (n, 3) of the whole picture, of the type of `image`, whose colours change as those of the
                crop do, so that the crop can be normalised by what its picture would have been.
        Returns:
            image (h, w, 3) of the same type and scale, mask (M, h, w), h = w = crop, if a crop is set; and the context
            (m, 3), m >= n, if one is given.
        """
        side = _taken(self.settings)
        image, mask = pad_to(image, side, side), np.moveaxis(pad_to(np.moveaxis(mask, 0, -1), side, side), -1, 0)
        # One pair of generators for all transforms. `Compose.set_random_seed` would give each transform its
        # own, seeded alike: every sample that is flipped one way would be flipped the other way too.
        generators = np.random.default_rng(seed), random.Random(seed)
        for compose in (self._geometry, self._colours, self._degradation):
            compose.set_random_state(*generators)
        scale = np.float32(255) if image.dtype != np.uint8 else None  # albumentations takes floats to lie in [0, 1]
        if scale is not None:
            image = image / scale
        out = self._geometry(image=image, mask=np.ascontiguousarray(np.moveaxis(mask, 0, -1)))
        image, mask = out["image"], np.ascontiguousarray(np.moveaxis(out["mask"], -1, 0))
        height = len(image)
        if context is not None:  # rows below the crop: seen by the same transforms, cut off again
            image = np.concatenate([image, _rows(context if scale is None else context / scale, image.shape[1])])
        image = self._colours(image=image)["image"]
        below, image = image[height:], np.ascontiguousarray(image[:height])
        image = self._degradation(image=image)["image"]
        if scale is not None:
            image, below = image * scale, below * scale
        return (image, mask) if context is None else (image, mask, below.reshape(-1, 3))

    def __reduce__(self) -> tuple[Any, ...]:
        return Augmentation, (self.settings,)  # worker processes build their own


def build_augmentation(config: Mapping[str, Any]) -> Augmentation:
    """Build the augmentation of a choice of `conf/augmentation/`.

    Raises:
        ConfigError: an unknown key, or a value that cannot be.
    """
    known = Settings.__dataclass_fields__
    if unknown := [str(key) for key in config if key not in known]:
        raise ConfigError(f"augmentation has no option {', '.join(unknown)}; it has {', '.join(known)}")
    values = {str(key): value for key, value in config.items()}
    if "scale" in values:
        values["scale"] = tuple(values["scale"])
    return Augmentation(Settings(**values))


def _rows(pixels: np.ndarray, width: int) -> np.ndarray:
    """Pixels (n, 3) as rows (h, width, 3); the last row is filled up from the first pixels."""
    height = -(-len(pixels) // width)
    return np.resize(pixels, (height, width, 3))


def _geometry(s: Settings) -> list[A.BasicTransform]:
    chain: list[A.BasicTransform] = []
    if s.crop is not None:
        chain.append(A.RandomCrop(_taken(s), _taken(s), p=1))
    if s.horizontal_flip:
        chain.append(A.HorizontalFlip(p=0.5))
    if s.vertical_flip:
        chain.append(A.VerticalFlip(p=0.5))
    if s.rotate90:
        chain.append(A.RandomRotate90(p=1))
    if s.rotation or s.scale != (1.0, 1.0):
        # keep_ratio: one factor for both axes. Its defaults: no translation, no shear, linear for the image,
        # nearest for the mask, 0 outside.
        turn = (-s.rotation, s.rotation)
        chain.append(A.Affine(scale=s.scale, rotate=turn, keep_ratio=True, border_mode=BORDERS[s.border], p=1))
    if s.crop is not None and _taken(s) > s.crop:
        chain.append(A.CenterCrop(s.crop, s.crop, p=1))
    return chain


def _colours(s: Settings) -> list[A.BasicTransform]:
    chain: list[A.BasicTransform] = []
    if s.brightness or s.contrast or s.saturation or s.hue:
        chain.append(A.ColorJitter(s.brightness, s.contrast, s.saturation, s.hue, p=1))
    if s.exposure:
        chain.append(Exposure(s.exposure))
    if s.stain:
        chain.append(Stain(s.stain))
    if s.counterstain:
        chain.append(Counterstain(s.counterstain))
    if s.grey:
        chain.append(A.ToGray(p=s.grey))
    if s.colour_mix:
        chain.append(ColourMix(s.colour_mix))
    return chain


def _degradation(s: Settings) -> list[A.BasicTransform]:
    chain: list[A.BasicTransform] = []
    if s.blur:
        chain.append(A.GaussianBlur(blur_limit=0, sigma_limit=(0.0, s.blur), p=DEGRADED))
    if s.noise:
        chain.append(A.GaussNoise(std_range=(0.0, s.noise), p=DEGRADED))
    if s.jpeg is not None:
        chain.append(A.ImageCompression(quality_range=(s.jpeg, 100), p=DEGRADED))
    return chain


def _taken(s: Settings) -> int:
    """The side of the crop that is rotated and scaled; 0 for the whole image."""
    return round(s.crop * s.margin) if s.crop else 0


class Exposure(A.ImageOnlyTransform):
    """One factor for all channels: see `Settings.exposure`."""

    def __init__(self, amount: float) -> None:
        super().__init__(p=1)
        self.amount = amount

    def get_params(self) -> dict[str, Any]:
        """The factor."""
        return {"factor": float(np.exp(self.random_generator.uniform(-self.amount, self.amount)))}

    def apply(self, img: np.ndarray, factor: float, **params: Any) -> np.ndarray:
        """img (h, w, 3), uint8 or float32 in [0, 1]; the result of the same type and range."""
        if img.dtype == np.uint8:
            return np.rint(img * np.float32(factor)).clip(0, 255).astype(np.uint8)
        return (img * np.float32(factor)).clip(0, 1)


class ColourMix(A.ImageOnlyTransform):
    """Mixes the channels by a random matrix about mid-grey: see `Settings.colour_mix`."""

    def __init__(self, deviation: float) -> None:
        super().__init__(p=1)
        self.deviation = deviation

    def get_params(self) -> dict[str, Any]:
        """The matrix (3, 3) and the shift, in parts of 128: (3,)."""
        drawn = self.random_generator.normal(0, self.deviation, (3, 4))
        return {"matrix": np.eye(3) + drawn[:, :3], "shift": drawn[:, 3]}

    def apply(self, img: np.ndarray, matrix: np.ndarray, shift: np.ndarray, **params: Any) -> np.ndarray:
        """img (h, w, 3), uint8 or float32 in [0, 1]; the result of the same type and range."""
        grey = 128.0 if img.dtype == np.uint8 else 128 / 255
        offset = grey * (1 + shift) - matrix @ np.full(3, grey)
        mixed = cv2.transform(img, np.column_stack([matrix, offset]))
        return mixed if img.dtype == np.uint8 else mixed.clip(0, 1)


class Stain(A.ImageOnlyTransform):
    """Other amounts of each stain: see `Settings.stain`."""

    def __init__(self, amount: float) -> None:
        super().__init__(p=1)
        self.amount = amount

    def get_params(self) -> dict[str, Any]:
        """What optical densities (red, green, blue) are multiplied by, (3, 3), and what is added to them, (3,)."""
        drawn = self.random_generator.uniform(-self.amount, self.amount, (2, 3))
        to_stains, to_colours = (np.asarray(matrix, np.float64) for matrix in (hed_from_rgb, rgb_from_hed))
        return {
            "matrix": (to_stains @ np.diag(1 + drawn[0]) @ to_colours).T,
            "shift": drawn[1] / 5 @ to_colours,
        }

    def apply(self, img: np.ndarray, matrix: np.ndarray, shift: np.ndarray, **params: Any) -> np.ndarray:
        """img (h, w, 3), uint8 or float32 in [0, 1]; the result of the same type and range."""
        white = 255 if img.dtype == np.uint8 else 1.0
        light = np.maximum(img.astype(np.float32) / white, 1 / 255)  # black takes all light: its density is none
        stained = cv2.exp(cv2.transform(cv2.log(light), np.column_stack([matrix, -shift]))).clip(0, 1)
        return np.rint(stained * 255).astype(np.uint8) if img.dtype == np.uint8 else stained.astype(np.float32)


class Counterstain(A.ImageOnlyTransform):
    """A cloudy pink over everything: see `Settings.counterstain`."""

    CLOUDS = (6, 18, 54)  # pixels
    VARIETY = 0.1  # deviation of the stain's colour, of a vector of length 1

    def __init__(self, amount: float) -> None:
        super().__init__(p=1)
        self.amount = amount

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """The optical density of the stain at each pixel, float32 (h, w), and its colour, (3,)."""
        height, width = params["shape"][:2]
        clouds = np.zeros((height, width), np.float32)
        for size in self.CLOUDS:
            coarse = self.random_generator.standard_normal((height // size + 2, width // size + 2), dtype=np.float32)
            clouds += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        clouds = (clouds - clouds.min()) / max(float(np.ptp(clouds)), 1e-6)
        colour = rgb_from_hed[1] + self.random_generator.normal(0, self.VARIETY, 3)
        return {"density": self.random_generator.uniform(0, self.amount) * clouds, "colour": colour.clip(0, None)}

    def apply(self, img: np.ndarray, density: np.ndarray, colour: np.ndarray, **params: Any) -> np.ndarray:
        """img (h, w, 3), uint8 or float32 in [0, 1]; the result of the same type and range."""
        stained = img * np.exp(-density[..., None] * colour.astype(np.float32))
        return np.rint(stained).astype(np.uint8) if img.dtype == np.uint8 else stained.astype(np.float32)
