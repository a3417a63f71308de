"""Micrometres per pixel: what a file states, in which place, and when that is not to be believed.

The first place that states a length decides, in this order: the scanner's metadata (Aperio, Philips), OME, ImageJ, the
resolution tags of TIFF. A length outside 0.05 to 10 micrometres is no pixel of a microscope (72 dpi, the default of
many programs, would be 352.8): the size is unknown then, and the reason names the length. Nothing is guessed from a
magnification.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from segdiff.errors import DataError

SMALLEST, LARGEST = 0.05, 10.0  # micrometres: from 200-fold magnification to an overview
MOST_ANISOTROPY = 0.02  # by which x and y may differ, as a fraction of the smaller one
NOT_STATED = "the file does not state it"

# Micrometres in the units of OME-XML and OME-Zarr (names and symbols) and ImageJ, in lower case.
MICROMETRES = {
    "µm": 1.0,  # micro sign
    "μm": 1.0,  # Greek mu
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "nanometre": 1e-3,
    "å": 1e-4,
    "angstrom": 1e-4,
    "pm": 1e-6,
    "picometer": 1e-6,
    "mm": 1e3,
    "millimeter": 1e3,
    "millimetre": 1e3,
    "cm": 1e4,
    "centimeter": 1e4,
    "centimetre": 1e4,
    "m": 1e6,
    "meter": 1e6,
    "metre": 1e6,
    "in": 25400.0,
    "inch": 25400.0,
}
_PER_UNIT = {2: 25400.0, 3: 10000.0}  # ResolutionUnit: inch, centimetre
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_DEFAULT_UNIT = 2  # of the TIFF 6.0 specification, where the tag is absent


@dataclass(frozen=True)
class PixelSize:
    """Micrometres per pixel of an image and where they come from.

    Attributes:
        x, y: of a pixel's width and height; both None where the size is unknown.
        origin: the place that states it ("Aperio MPP", "OME PhysicalSizeX", ...), or why it is unknown.
    """

    x: float | None
    y: float | None
    origin: str

    @classmethod
    def checked(cls, x: float, y: float, origin: str) -> PixelSize:
        """Take a stated size; it is unknown where a length lies outside 0.05 to 10 micrometres."""
        for value in (x, y):
            if not (math.isfinite(value) and SMALLEST <= value <= LARGEST):
                reason = (
                    f"{origin} states {value:.4g} micrometres per pixel, which is outside {SMALLEST} to {LARGEST:g}"
                )
                return cls(None, None, reason)
        return cls(x, y, origin)

    @property
    def known(self) -> bool:
        return self.x is not None

    def isotropic(self) -> float | None:
        """Return the one length of square pixels (the mean of x and y), None where it is unknown.

        Raises:
            DataError: x and y differ by more than 2 %.
        """
        if self.x is None or self.y is None:
            return None
        if abs(self.x - self.y) > MOST_ANISOTROPY * min(self.x, self.y):
            raise DataError(
                f"the pixels are not square: {self.x:g} x {self.y:g} micrometres ({self.origin}); "
                "resample the image, or state one length with --mpp"
            )
        return self.x if self.x == self.y else (self.x + self.y) / 2


UNKNOWN = PixelSize(None, None, NOT_STATED)


def read_pixel_size(path: str | Path) -> PixelSize:
    """Return what an image file states about the size of its pixels; unknown for files that are not TIFF."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            return tiff_pixel_size(file)
    except Exception:  # not a TIFF, or a damaged one: what is wrong with it is said when it is read
        return UNKNOWN


def tiff_pixel_size(file: Any) -> PixelSize:
    """The same for an open `tifffile.TiffFile`, of its first page."""
    for place in _PLACES:
        if (found := place(file)) is not None:
            return found
    return UNKNOWN


def to_number(text: Any) -> float | None:
    """Return a number that may be written with a decimal comma; None where there is none."""
    try:
        return float(str(text).strip().replace(",", "."))
    except ValueError:
        return None


def _aperio(file: Any) -> PixelSize | None:
    description = file.pages[0].description or ""
    if not description.startswith("Aperio"):
        return None
    found = re.search(r"\|\s*MPP\s*=\s*([^|\r\n]+)", description)
    value = to_number(found.group(1)) if found else None
    return None if value is None else PixelSize.checked(value, value, "Aperio MPP")


def _philips(file: Any) -> PixelSize | None:
    if not getattr(file, "is_philips", False):
        return None
    # (height, width) in millimetres, of the whole slide's image, which is described first.
    found = re.search(
        r'DICOM_PIXEL_SPACING"[^>]*>\s*(?:&quot;|")([\d.eE+-]+)(?:&quot;|")\s+(?:&quot;|")([\d.eE+-]+)',
        file.pages[0].description,
    )
    if not found:
        return None
    y, x = float(found.group(1)) * 1000, float(found.group(2)) * 1000
    return PixelSize.checked(x, y, "Philips DICOM_PIXEL_SPACING")


def _ome(file: Any) -> PixelSize | None:
    text = file.ome_metadata if file.is_ome else None
    if not text:
        return None
    try:
        root = ElementTree.fromstring(text.encode() if isinstance(text, str) else text)
    except ElementTree.ParseError:
        return None
    images = [one for one in root.iter() if one.tag.rpartition("}")[2] == "Pixels"]
    if not images:
        return None
    # Beside a slide lie its label and an overview: the largest image is meant.
    pixels = max(images, key=lambda one: (to_number(one.get("SizeX")) or 0) * (to_number(one.get("SizeY")) or 0))
    lengths = [_ome_length(pixels, axis) for axis in "XY"]
    given = [length for length in lengths if length is not None]
    if not given:
        return None
    x, y = lengths[0] or given[0], lengths[1] or given[0]
    return PixelSize.checked(x, y, "OME PhysicalSizeX")


def _ome_length(pixels: ElementTree.Element, axis: str) -> float | None:
    value = to_number(pixels.get(f"PhysicalSize{axis}", ""))
    # Without a unit it is in micrometres, the schema's default; "pixel" and "reference frame" are no lengths.
    unit = MICROMETRES.get(pixels.get(f"PhysicalSize{axis}Unit", "µm").strip().lower())
    return None if value is None or unit is None else value * unit


def _imagej(file: Any) -> PixelSize | None:
    metadata = file.imagej_metadata if file.is_imagej else None
    unit = _imagej_unit(metadata.get("unit")) if metadata else None
    if metadata is None or unit is None:
        return None
    # ImageJ keeps pixels per unit in the resolution tags, whatever their own unit.
    y_unit = _imagej_unit(metadata.get("yunit")) or unit
    return _from_resolution(file, unit, y_unit, f"ImageJ unit {metadata['unit']}")


def _imagej_unit(name: Any) -> float | None:
    # ImageJ escapes what is not ASCII: \u00B5m.
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code.group(1), 16)), str(name or ""))
    return MICROMETRES.get(text.strip().lower())


def _resolution(file: Any) -> PixelSize | None:
    tags = file.pages[0].tags
    unit = int(tags[_RESOLUTION_UNIT].value) if _RESOLUTION_UNIT in tags else _DEFAULT_UNIT
    if unit not in _PER_UNIT:
        return None
    return _from_resolution(file, _PER_UNIT[unit], _PER_UNIT[unit], "TIFF XResolution")


def _from_resolution(file: Any, x_unit: float, y_unit: float, origin: str) -> PixelSize | None:
    tags = file.pages[0].tags
    x, y = (_rational(tags[code].value) if code in tags else None for code in (_X_RESOLUTION, _Y_RESOLUTION))
    if x is None and y is None:
        return None
    return PixelSize.checked(x_unit / (x or y or 1.0), y_unit / (y or x or 1.0), origin)


def _rational(value: Any) -> float | None:
    """Pixels per unit from a numerator and a denominator; None where one is 0, the sign of an unset tag."""
    numerator, denominator = value[:2] if isinstance(value, tuple) else (value, 1)
    return numerator / denominator if numerator and denominator else None


_PLACES: tuple[Callable[[Any], PixelSize | None], ...] = (_aperio, _philips, _ome, _imagej, _resolution)
