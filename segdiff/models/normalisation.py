"""From pixels to what a network sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.errors import ConfigError

KINDS = ("fixed", "per_image", "mixed", "nuclear", "nuclear_colour")
MOST_COLOUR = 4.0  # grey levels between the channels of a grey picture, for slips of a scanner
MOST_OF_RANGE = 0.05  # the same as a part of its contrast, for pictures that use little of the scale (12 bits in 16)
DENSE = 256  # positions along a side that are looked at for what is rare
# Chosen by the pictures that the model nuclei was trained on, 209 coloured and 196 grey ones:
SPARSE = 8.0  # ranges by which pixels stand out where objects are few: 26 and more in two, below 5 in all others
OBVIOUS = 20.0  # the same where most of the range lies to one side of the median, as if it were of objects
RAREST = 2e-4  # share of the positions that may stand out and mean nothing: hot pixels, dust
DARK_GROUND = 64.0  # grey levels of the brightest channel, median: 175 and more in stained tissue, less in fluorescence
WHITISH = 0.25  # darkest channel by brightest: stained tissue is pale beside the colours of fluorescence
LEAST_STAIN = 0.05  # of the amount of haematoxylin, half its range: 0.17 and more in tissue, below 0.02 on glass
TISSUE = 0.15  # optical density above that of the palest pixels: what is paler is glass or pale stroma
LEAST_TISSUE = 0.01  # share of the positions: with less tissue, statistics are the whole picture's
NUCLEI = 99.5  # percentile of haematoxylin over tissue: nuclei cover 1 % of muscle, fat or umbilical cord
HUE = 0.5  # optical density between two colour channels that becomes 1: about a strong eosin's
HUE_LIMIT = 3.0  # a channel of 0 has a density without meaning
Normalise = Callable[[NDArray[Any]], NDArray[np.float32]]


@dataclass(frozen=True)
class Normalisation:
    """(pixels - mean) / std for each channel, on the 0..255 scale.

    Args:
        kind: "fixed": the given mean and std, of a whole data set; "per_image": of each image the 1st and 99th
            percentile over a fixed lattice of up to 64 x 64 positions become -1 and +1, channel by channel; "mixed":
            "per_image" for grey pictures, of any exposure, and "fixed" for coloured ones, whose colours say something;
            "nuclear": what marks nuclei, by its percentiles as "per_image", the same in each channel: the amount of
            haematoxylin of coloured pictures, the brightness of grey ones that are dark for the most part (as of
            fluorescence), the darkness of other grey ones. Pictures of all three look alike then. Coloured ones on
            black are fluorescence, too: of their brightest channel. Where nuclei are too few for the percentiles, the
            pixels that stand out take their place (`grey_levels`); "nuclear_colour": the first channel as "nuclear",
            with the upper percentile over what is denser than glass (few nuclei beside glass and fat are nuclei all the
            same, and stroma is not); the second and the third are the optical densities of red and of blue less that of
            green, 0 in grey pictures: the hue of a stain, which does not change with exposure.
        mean, std: for "fixed" and "mixed": one number for each channel.
        dark_objects: for "per_image" and "mixed": a grey picture that is dark for the most part, as of fluorescence, is
            turned into its negative, so that objects are darker than what is around them, as they are in stained
            tissue.
    Raises:
        ConfigError: an unknown kind, or "fixed" without usable numbers.
    """

    kind: str = "per_image"
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    dark_objects: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"normalisation.kind={self.kind} is not known; known: {', '.join(KINDS)}")
        if self.dark_objects and self.kind in ("fixed", "nuclear", "nuclear_colour"):
            raise ConfigError("normalisation.dark_objects goes with kind=per_image or mixed only")
        if self.kind in ("fixed", "mixed"):
            if not self.mean or not self.std or len(self.mean) != len(self.std) or min(self.std) <= 0:
                raise ConfigError(
                    f"normalisation.kind={self.kind} needs mean and std, one positive std for each channel"
                )
            object.__setattr__(self, "mean", tuple(float(m) for m in self.mean))
            object.__setattr__(self, "std", tuple(float(s) for s in self.std))

    def fit(self, image: Any, convert: Callable[[Any], NDArray[Any]] = np.asarray) -> Normalise:
        """The function for any part of this image.

        image: (H, W[, C]), anything with `shape` that slices with a stride; `convert` turns what it gives into
        (h, w, C) on the 0..255 scale. The function maps (h, w, C) on that scale to float32 of the same shape.
        """
        if self.kind in ("nuclear", "nuclear_colour"):
            colour = self.kind == "nuclear_colour"
            return _nuclear(_lattice(image, convert), _lattice(image, convert, DENSE), colour)
        lattice = np.zeros((1, 1, 1), np.float32) if self.kind == "fixed" else _lattice(image, convert)
        if self.kind == "fixed" or (self.kind == "mixed" and not is_grey(lattice)):
            return _straight(np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32))
        low, _, high = _percentiles(lattice)
        # An even picture has no range; 16-bit pictures of few counts, a fraction of a grey level, have.
        std = np.maximum((high - low) / 2, np.float32(0.1))
        turned = self.dark_objects and is_grey(lattice) and _is_dark(lattice)
        return _straight((low + high) / 2, -std if turned else std)

    def __call__(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """(H, W, C) on the 0..255 scale to float32 of the same shape."""
        return self.fit(image)(image)


def _lattice(image: Any, convert: Callable[[Any], NDArray[Any]], side: int = 64) -> NDArray[np.float32]:
    height, width = image.shape[:2]
    return convert(image[:: -(-height // side), :: -(-width // side)]).astype(np.float32)


def _percentiles(lattice: NDArray[np.float32]) -> NDArray[np.float32]:
    """The 1st, 50th and 99th of each channel: (3, C)."""
    return np.percentile(lattice.reshape(-1, lattice.shape[-1]), [1, 50, 99], axis=0).astype(np.float32)


def _straight(mean: NDArray[np.float32], std: NDArray[np.float32]) -> Normalise:
    def normalise(part: NDArray[Any]) -> NDArray[np.float32]:
        return (part.astype(np.float32) - mean) / std

    return normalise


def optical_density(part: NDArray[Any]) -> NDArray[np.float32]:
    """Light that is taken away at each pixel: (h, w, 3) on the 0..255 scale to -ln(value / 255), of the same shape."""
    return -np.log(np.maximum(part.astype(np.float32), 1) / 255)


def nuclear_stain(part: NDArray[Any]) -> NDArray[np.float32]:
    """The amount of haematoxylin at each pixel: (h, w, 3) on the 0..255 scale to (h, w).

    Source: Ruifrok and Johnston 2001, with the vectors of scikit-image.
    """
    return _haematoxylin(optical_density(part))


def _haematoxylin(density: NDArray[np.float32]) -> NDArray[np.float32]:
    from skimage.color import hed_from_rgb

    return density @ np.asarray(hed_from_rgb, np.float32)[:, 0]


def _nuclear(lattice: NDArray[np.float32], dense: NDArray[np.float32], colour: bool) -> Normalise:
    """Build the function of "nuclear", or with `colour` of "nuclear_colour"."""
    amount: Callable[[NDArray[Any]], NDArray[np.float32]]
    grey = is_grey(lattice)
    stained = not grey and _is_stained(lattice)
    if stained and colour:
        return StainedPicture(lattice.reshape(-1, 3), *_stain_levels(dense.reshape(-1, 3)))
    if stained:
        amount, least, shines = nuclear_stain, LEAST_STAIN, True
        low, high = _percentiles(amount(lattice)[..., None])[[0, 2], 0]
    else:
        amount, least = _mean if grey else _brightest, 1e-3
        low, high, shines = grey_levels(amount(lattice), amount(dense))
    mean, std = (low + high) / 2, np.maximum((high - low) / 2, np.float32(least))
    std = std if shines else -std

    def normalise(part: NDArray[Any]) -> NDArray[np.float32]:
        return np.repeat(((amount(part) - mean) / std)[..., None], part.shape[-1], axis=-1)

    def without_hue(part: NDArray[Any]) -> NDArray[np.float32]:
        found = np.zeros(part.shape, np.float32)
        found[..., 0] = (amount(part) - mean) / std
        return found

    return without_hue if colour else normalise


@dataclass(frozen=True)
class StainedPicture:
    """The function of "nuclear_colour" for one picture of stained tissue.

    Attributes:
        context: (n, 3), pixels of the picture on the 0..255 scale. Training shows the picture in other colours: these
            pixels, in those colours, say by `refitted` what its normalisation would have been.
        low, high: amounts of haematoxylin that become -1 and +1.
    """

    context: NDArray[Any]
    low: np.float32
    high: np.float32

    def __call__(self, part: NDArray[Any]) -> NDArray[np.float32]:
        """(h, w, 3) on the 0..255 scale to float32 of the same shape."""
        density = optical_density(part)
        half = np.maximum((self.high - self.low) / 2, np.float32(LEAST_STAIN))
        found = np.empty(part.shape, np.float32)
        found[..., 0] = (_haematoxylin(density) - (self.low + self.high) / 2) / half
        hue = (density[..., [0, 2]] - density[..., 1:2]) / np.float32(HUE)
        found[..., 1:] = hue.clip(-HUE_LIMIT, HUE_LIMIT)
        return found

    def refitted(self, context: NDArray[Any]) -> StainedPicture:
        """The function for the picture in the colours of this context, (n, 3)."""
        return StainedPicture(context, *_stain_levels(context))


def _stain_levels(pixels: NDArray[Any]) -> tuple[np.float32, np.float32]:
    """The amounts of haematoxylin of what is pale and of nuclei, for pixels (n, 3).

    Nuclei are the utmost of what is denser than the palest: of the whole picture they may be less than a percentile.
    """
    density = optical_density(pixels)
    total, stain = density.mean(axis=1), _haematoxylin(density)
    tissue = total > np.percentile(total, 1) + TISSUE
    low = np.percentile(stain, 1)
    high = np.percentile(stain[tissue] if tissue.mean() > LEAST_TISSUE else stain, NUCLEI)
    return np.float32(low), np.float32(high)


def _is_stained(lattice: NDArray[np.float32]) -> bool:
    """Whether colours are those of light through tissue, not of fluorescence on black."""
    brightest = lattice.max(axis=-1)
    if np.median(brightest) > DARK_GROUND:
        return True
    lit = brightest > DARK_GROUND  # of tissue on a black slide, say
    return bool(lit.any() and np.median(lattice.min(axis=-1)[lit] / brightest[lit]) > WHITISH)


def grey_levels(values: NDArray[Any], dense: NDArray[Any] | None = None) -> tuple[np.float32, np.float32, bool]:
    """What is dark and what is bright in a picture of one channel, and whether its objects are the bright.

    The 1st and the 99th percentile; objects are bright where most of the picture is nearer to the first. Objects that
    cover less than a hundredth are not in these: where pixels stand out by far, and the others look like noise (their
    median lies in the middle) or like nothing beside them, they are the objects; the median of those that stand out by
    half as much takes the place of the percentile.

    values: over a lattice of positions. dense: over one of more positions, where rare objects are looked for.
    """
    low, middle, high = np.percentile(values, [1, 50, 99]).astype(np.float32)
    spread = high - low
    every = np.sort((values if dense is None else dense).ravel())
    rare = min(max(2, round(RAREST * every.size)), every.size - 1)
    above, below = every[-1 - rare] - high, low - every[rare]
    one_sided = abs(middle - (low + high) / 2) > 0.3 * spread
    if max(above, below) <= (OBVIOUS if one_sided else SPARSE) * spread:
        return low, high, bool(middle < (low + high) / 2)
    if above > below:
        return low, np.float32(np.median(every[every >= high + above / 2])), True
    return np.float32(np.median(every[every <= low - below / 2])), high, False


def _mean(part: NDArray[Any]) -> NDArray[np.float32]:
    return part.astype(np.float32).mean(axis=-1)


def _brightest(part: NDArray[Any]) -> NDArray[np.float32]:
    return part.max(axis=-1).astype(np.float32)


def _is_dark(values: NDArray[np.float32]) -> bool:
    """Whether most of the picture is darker than the middle of its range, in every channel."""
    low, middle, high = _percentiles(values)
    return bool((middle < (low + high) / 2).all())


def is_grey(values: NDArray[Any]) -> bool:
    """Whether the channels of (h, w, C) say about the same."""
    low, high = np.percentile(values, [1, 99])
    return float((values.max(axis=-1) - values.min(axis=-1)).mean()) <= min(MOST_COLOUR, MOST_OF_RANGE * (high - low))
