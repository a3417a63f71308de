"""Results to report on, made by the very code that makes them, and what a page holds."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from fakes import make_predictor, noisy
from PIL import Image

from segdiff.workflows.outputs import DEFAULT_OUTPUTS, OBJECT_OUTPUTS
from segdiff.workflows.predict_files import predict_files

SIZE = (64, 80)
NAMES = ("a", "b", "c", "d", "e")


def spots(seed: int) -> np.ndarray:
    """Bright discs, some of them half as bright, on a dark ground: uint8 (64, 80, 3)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    image = rng.integers(0, 30, (*SIZE, 3)).astype(np.uint8)
    for number in range(4):
        y, x = 10 + 40 * (number // 2) + rng.integers(0, 5), 12 + 40 * (number % 2) + rng.integers(0, 8)
        image[(rows - y) ** 2 + (columns - x) ** 2 <= 64] = 255 if number else 150
    return image


def make_pictures(folder: Path) -> Path:
    """Five pictures and a file that is none."""
    folder.mkdir(parents=True)
    for seed, name in enumerate(NAMES):
        Image.fromarray(spots(seed)).save(folder / f"{name}.png")
    (folder / "broken.png").write_bytes(b"not a picture")
    return folder


def make_predictions(pictures: Path, folder: Path, **settings: Any) -> Path:
    """What `segdiff predict --instances` leaves, by a model of three chains that looks at red."""
    settings = {"outputs": (*DEFAULT_OUTPUTS, *OBJECT_OUTPUTS), **settings}
    predict_files(make_predictor(noisy, chains=3), [pictures], folder, **settings)
    return folder


def data_of(page: Path) -> dict[str, Any]:
    """What a page shows, as its program reads it."""
    return _json(page, "data")


def thumbnails_of(page: Path) -> list[str | None]:
    return _json(page, "thumbnails")


def details_of(page: Path, index: int) -> dict[str, Any]:
    """Of one picture, from the page or from the file beside it."""
    files = data_of(page)["files"]
    if files is None:
        return _json(page, f"details-{index}")
    text = (page.parent / files / f"{index:05}.js").read_text(encoding="ascii")
    return json.loads(re.fullmatch(r'segdiffReport\.receive\("\w+",\d+,(.*)\);\n', text)[1])


def decoded(address: str) -> np.ndarray:
    """The pixels of a data address: RGB or RGBA."""
    picture = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    return np.asarray(picture.convert("RGB" if picture.format == "WEBP" else "RGBA"))


def _json(page: Path, name: str) -> Any:
    (text,) = re.findall(rf'<script type="application/json" id="{name}">(.*?)</script>', page.read_text("utf-8"))
    return json.loads(text)
