"""Which pages of a TIFF are the image, and which of them its smaller copies.

Scanners and libraries write pyramids in three ways: pages that follow one another (Aperio, large_image), SubIFDs of the
full page (OME), and both for each channel. Labels, macros and thumbnails lie among them. A page is taken for a level if
it shows the whole image smaller: the same kind of values, both sides shrunk alike.
"""

from __future__ import annotations

from typing import Any

from segdiff.errors import DataError

_MACRO = 8  # bit of NewSubfileType that Aperio sets for the overview
_PALETTE, _YCBCR = 3, 6
_JPEG = (6, 7, 34892, 33007)  # compressions that carry YCbCr and give RGB
# PhotometricInterpretation: WhiteIsZero and BlackIsZero (what is stored decides), RGB, YCbCr (of JPEG).
_PHOTOMETRIC = (0, 1, 2, _YCBCR)


def image_levels(file: Any, name: str) -> list[list[Any]]:
    """Find the pages of an open `tifffile.TiffFile`: for each level, from the largest on, one page for each channel
    plane.

    Raises:
        DataError: a stack, or colours that are not understood.
    """
    planes = _full_planes(file, name)
    # Microscopes' files give their channels palettes for display; the stored numbers are the image.
    _refuse_colours(planes[0], name, palettes=not (file.is_ome or file.is_imagej))
    if len(planes) > 1:
        found = [[plane.pages[n].aspage() for plane in planes] for n in range(_sub_pages(planes))]
    else:
        full = planes[0]
        others = [page.aspage() for page in file.pages if page.offset != full.offset]
        others += [page.aspage() for page in full.pages or ()]
        found = [[page] for page in others if _may_be_level(page, full, svs=file.is_svs)]
    levels = [planes]
    for pages in sorted(found, key=lambda one: -one[0].imagewidth):
        if _is_smaller_copy(pages[0], planes[0], levels[-1][0]):
            levels.append(pages)
    return levels


def _full_planes(file: Any, name: str) -> list[Any]:
    """The full image's pages: of SVS the first page, else the largest series, a page for each of its channels."""
    if file.is_svs:
        return [file.pages[0].aspage()]
    series = max(file.series, key=lambda one: one.sizes.get("height", 0) * one.sizes.get("width", 0))
    others = {axis: n for axis, n in zip(series.axes, series.shape, strict=True) if n > 1 and axis not in "YXSC"}
    channels = series.shape[series.axes.index("C")] if "C" in series.axes else 1
    if others or len(series.pages) != channels:
        count = " x ".join(f"{n} ({axis})" for axis, n in others.items()) or str(len(series.pages))
        raise DataError(f"{name} is a stack of {count} pictures; save the one you mean as a file")
    if any(page is None for page in series.pages):
        raise DataError(f"{name} lacks some of its planes")
    return [page.aspage() for page in series.pages]


def _refuse_colours(page: Any, name: str, palettes: bool) -> None:
    photometric = int(page.photometric)
    if photometric == _PALETTE and not palettes:
        return
    if photometric not in _PHOTOMETRIC or (photometric == _YCBCR and page.compression not in _JPEG):
        kind = getattr(page.photometric, "name", photometric)
        raise DataError(f"{name} stores its colours as {kind}, which is not read tile by tile; save it as RGB")


def _sub_pages(planes: list[Any]) -> int:
    return min(len(plane.pages or ()) for plane in planes)


def _may_be_level(page: Any, full: Any, svs: bool) -> bool:
    """Whether a page has values of the same kind and is none of the pictures that lie beside a slide."""
    if (page.dtype, page.samplesperpixel, page.planarconfig) != (full.dtype, full.samplesperpixel, full.planarconfig):
        return False
    if int(page.subfiletype) & _MACRO:
        return False
    # In SVS files the second page is a thumbnail by convention, in strips; one that is tiled is a level.
    return bool(page.is_tiled if svs else page.is_tiled or page.is_reduced or page.is_subifd)


def _is_smaller_copy(page: Any, full: Any, last: Any) -> bool:
    if page.imagewidth * page.imagelength >= last.imagewidth * last.imagelength:
        return False
    step = max(full.imagewidth, full.imagelength) / max(page.imagewidth, page.imagelength)
    # Sizes may have been rounded up or down, at this level and at those before.
    expected = (full.imagewidth / step, full.imagelength / step)
    return all(abs(a - b) <= 2 for a, b in zip(expected, (page.imagewidth, page.imagelength), strict=True))
