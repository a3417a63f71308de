"""`summary.csv`: a row a picture of what was found in it, and the sums of all."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.writers import write_csv
from segdiff.errors import ConfigError

COLUMNS = (
    *("image", "status", "objects", "objects_low", "objects_high", "median_area_px", "median_area_um2"),
    *("area_fraction", "tissue_mm2", "objects_per_mm2", "seconds", "warnings"),
)
OF_RECORD, OF_TABLE = "prediction", "summary"  # what the names of the two files begin with


def found_in(mask_fraction: float, areas: NDArray[np.integer] | None, mpp: float | None) -> dict[str, Any]:
    """Sum up what was found in a picture, for its record.

    Args:
        mask_fraction: share of the picture, or of the region that was predicted, that the mask covers, 0 to 1.
        areas: pixels of each object; None where objects were not told apart.
        mpp: micrometres per pixel; None where unknown.
    Returns:
        "area_fraction", "objects", "median_area_px", "median_area_um2", None where unknown.
    """
    median = float(np.median(areas)) if areas is not None and len(areas) else None
    return {
        "area_fraction": round(float(mask_fraction), 6),
        "objects": None if areas is None else len(areas),
        "median_area_px": median,
        "median_area_um2": None if median is None or mpp is None else round(median * mpp**2, 4),
    }


def summary_path(record: Path) -> Path:
    """Return where the table of a record lies: summary_2of4.csv beside prediction_2of4.json."""
    return record.with_name(record.stem.replace(OF_RECORD, OF_TABLE, 1) + ".csv")


def check_summary(path: Path) -> None:
    """Raise ConfigError where a file lies at the table's place that is not such a table."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header = next(csv.reader(file), [])
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, UnicodeDecodeError, csv.Error):
        header = []
    if header[:3] != list(COLUMNS[:3]):
        raise ConfigError(f"{path} is not a table that segdiff predict wrote: choose another output folder")


def write_summary(path: Path, content: Mapping[str, Any]) -> None:
    """Write the table of a record (`segdiff.workflows.record`): its earlier runs first.

    Raises:
        OutputError: it cannot be written.
    """
    runs = [*content.get("earlier_runs", []), content]
    write_csv(path, COLUMNS, summary_rows(image for run in runs for image in run["images"]))


def summary_rows(images: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Make the rows of the images of a record that are done or that failed; None is an empty cell."""
    for image in images:
        if image.get("status") not in ("done", "failed"):
            continue
        found, counted = image.get("found", {}), image.get("numbers", {}).get("count", {})
        name = (Path(image["stem"]).parent / Path(image["image"]).name).as_posix()
        warnings = image.get("remarks", []) if image["status"] == "done" else [image.get("error", "")]
        row = {
            "image": name,
            "status": image["status"],
            **found,
            "objects_low": counted.get("low"),
            "objects_high": counted.get("high"),
            "tissue_mm2": image.get("tissue_mm2"),
            "objects_per_mm2": per_mm2(found.get("objects"), image.get("tissue_mm2")),
            "seconds": image.get("seconds"),
            "warnings": "; ".join(warnings),
        }
        # A name that is not UTF-8 is written as the record writes it.
        yield {key: _utf_8(value) if isinstance(value, str) else value for key, value in row.items()}


def per_mm2(objects: int | None, tissue_mm2: float | None) -> float | None:
    """Divide a count by the tissue's area; None where either is unknown or there is no tissue."""
    return None if objects is None or not tissue_mm2 else round(objects / tissue_mm2, 2)


def in_all(images: Sequence[Mapping[str, Any]]) -> str:
    """Say the sums of the images of a record that are done, as far as they are known of them."""
    done = [image for image in images if image.get("status") == "done"]
    found = [image.get("found", {}) for image in done]
    counts = [one["objects"] for one in found if one.get("objects") is not None]
    said = [f"{len(done)} image(s)"]
    if counts:
        said.append(f"{sum(counts)} object(s)" + ("" if len(counts) == len(done) else f" in {len(counts)} of them"))
    fractions = [one["area_fraction"] for one in found if one.get("area_fraction") is not None]
    if fractions:
        said.append(f"masks cover {100 * sum(fractions) / len(fractions):.1f} % of a picture on average")
    tissue = [(image["tissue_mm2"], one.get("objects")) for image, one in zip(done, found, strict=True)
              if image.get("tissue_mm2") is not None]  # fmt: skip
    if tissue:
        said.append(f"{sum(area for area, _ in tissue):.2f} mm^2 of tissue")
        counted = [(area, count) for area, count in tissue if count is not None]
        density = per_mm2(sum(count for _, count in counted), sum(area for area, _ in counted))
        if counted and density is not None:
            said.append(f"{density:g} objects per mm^2 of it")
    noted = sum(bool(image.get("remarks")) for image in done)
    if noted:
        said.append(f"notes on {noted}")
    return ", ".join(said)


def _utf_8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
