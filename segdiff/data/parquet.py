"""Tables of objects as Parquet, with the outline of each; needs segdiff[parquet].

Outlines are in the column `outline`, as WKB (well-known binary), which shapely, GeoPandas and DuckDB read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.annotations.shapes import Polygon
from segdiff.data.writers import atomic
from segdiff.errors import ConfigError

OUTLINE = "outline"
BATCH = 16384  # rows that are held, and that a reader may skip at once
_TRUTH = {"true": True, "false": False}  # of the cells of `segdiff.data.object_table.table_rows`


def check_parquet() -> None:
    """Raise ConfigError where the package that writes Parquet is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise ConfigError("the output parquet needs a package: pip install 'segdiff[parquet]'") from None


def well_known_binary(polygons: Iterable[Polygon]) -> bytes:
    """Return an object's polygons, with their holes, as WKB: a polygon, or a multipolygon where it has several."""
    import shapely

    parts = [shapely.Polygon(polygon[0], polygon[1:]) for polygon in polygons]
    return bytes(shapely.to_wkb(parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)))


def write_parquet(path: str | Path, columns: Mapping[str, NDArray[Any]], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as they come; `BATCH` of them are in memory.

    Args:
        columns: name and type of each column but the first, "image", and the last, "outline": arrays of any length.
        rows: as `segdiff.data.object_table.table_rows` gives them, each with its "outline".
    Raises:
        ConfigError: pyarrow is not installed. OutputError: the file cannot be written.
    """
    check_parquet()
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"b": pa.bool_(), "f": pa.float64()}
    fields = [(name, kinds.get(array.dtype.kind, pa.int64())) for name, array in columns.items()]
    schema = pa.schema([("image", pa.dictionary(pa.int32(), pa.string())), *fields, (OUTLINE, pa.binary())])
    truths = [name for name, array in columns.items() if array.dtype == np.bool_]
    with atomic(path) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in _batches(rows):
            for row in batch:
                row.update({name: _TRUTH[row[name]] for name in truths})
            writer.write_table(pa.Table.from_pylist(batch, schema))


def _batches(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    given = iter(rows)
    while batch := [dict(row) for row in islice(given, BATCH)]:
        yield batch
