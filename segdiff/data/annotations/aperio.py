"""Aperio ImageScope XML, the outlines of MoNuSeg."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from segdiff.data.annotations.files import unpacked
from segdiff.data.annotations.shapes import Annotation
from segdiff.errors import DataError, MissingError

CENTRE = 0.5  # ImageScope's coordinates have pixel centres at integers


def is_aperio(path: Path) -> bool:
    """Whether the name is that of an ImageScope file."""
    return path.name.lower().endswith((".xml", ".xml.gz"))


def read_aperio(path: str | Path) -> list[Annotation]:
    """Read the outlines of an ImageScope file, `.xml` or `.xml.gz`.

    Returns:
        One annotation of one polygon for each Region, in the order of the file; a polygon may have no vertex, and may
        leave the picture.
    Raises:
        MissingError: there is no such file.
        DataError: not XML of this kind, truncated, or a vertex without numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(f"no such annotation: {path}")
    return parse_aperio(path.read_bytes(), path)


def parse_aperio(content: bytes, path: Path) -> list[Annotation]:
    """Parse the bytes of the file; `path` names it in errors, and .gz tells to unpack them."""
    text = unpacked(content, path)
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise DataError(f"{path} is not a complete XML file ({error})") from error
    if root.tag != "Annotations":
        raise DataError(f"{path} is no ImageScope annotation: its root is <{root.tag}>, not <Annotations>")
    try:
        return [Annotation(((_vertices(region) + CENTRE,),)) for region in root.iter("Region")]
    except ValueError as error:
        raise DataError(f"{path} has a vertex whose X and Y are not numbers ({error})") from error


def _vertices(region: ElementTree.Element) -> np.ndarray:
    points = [(vertex.get("X", ""), vertex.get("Y", "")) for vertex in region.iter("Vertex")]
    return np.array(points, dtype=np.float64).reshape(-1, 2)
