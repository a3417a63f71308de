"""From an image layer to a labels layer, without a window."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import napari.layers

MICROMETRES = ("um", "µm", "micron", "microns", "micrometer", "micrometre", "micrometers", "micrometres")


@lru_cache(maxsize=2)
def _predictor(model: str) -> Any:
    import segdiff

    return segdiff.load(model)


def current_plane(layer: napari.layers.Image, step: tuple[int, ...]) -> np.ndarray:
    """The plane of an image layer that the viewer shows.

    Args:
        layer: of any number of dimensions; of several resolutions the finest is taken.
        step: of the viewer, `viewer.dims.current_step`; its last entries are the layer's.
    Returns:
        (H, W), or (H, W, C) where the layer is RGB.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    leading = data.ndim - (3 if layer.rgb else 2)
    own = step[len(step) - layer.ndim :]
    return np.asarray(data[tuple(min(own[i], data.shape[i] - 1) for i in range(leading))])


def pixel_size(layer: napari.layers.Image) -> float | None:
    """Micrometres per pixel of a layer whose units are micrometres; None where the layer does not say, or where x and y
    differ by more than 2 %."""
    units = getattr(layer, "units", None)
    y, x = (float(value) for value in layer.scale[-2:])
    if units is None or not all(str(unit).lower() in MICROMETRES for unit in units[-2:]):
        return None
    return x if abs(x - y) <= 0.02 * x else None


def segment_plane(
    layer: napari.layers.Image, step: tuple[int, ...], model: str = "nuclei", diameter: float = 0.0
) -> tuple[np.ndarray, dict[str, Any], str]:
    """Segment what an image layer shows.

    Args:
        layer: an image layer.
        step: of the viewer, `viewer.dims.current_step`.
        model: as `segdiff.load` takes it.
        diameter: of a typical nucleus in pixels; 0: by the model's and the layer's scale.
    Returns:
        A layer as data, settings and type: labels (H, W) at the layer's place and scale, whose features are the columns
        of segdiff's table of objects, `index` being the number of each.
    """
    import pandas

    from segdiff.data.object_table import object_table
    from segdiff.inference.objects import describe_objects

    predictor = _predictor(model)
    image, mpp = current_plane(layer, step), pixel_size(layer)
    scale = {"diameter": diameter} if diameter > 0 else {"mpp": mpp if predictor.known_mpp is not None else None}
    prediction = predictor.predict(image, keep_chains=True, **scale)
    labels = prediction.instances()
    found = describe_objects(labels, prediction.probability, prediction.uncertainty, prediction.confidence(labels))
    more = {
        name: np.array([getattr(one, name) for one in found], np.float64)
        for name in ("probability", "uncertainty", "confidence")
    }
    columns = object_table(labels, image, mpp, more)
    features = pandas.DataFrame({"index": columns.pop("id"), **columns})
    settings = {
        "name": f"{layer.name} {prediction.class_name}",
        "scale": layer.scale[-2:],
        "translate": layer.translate[-2:],
        "features": features,
        "metadata": {"model": prediction.model, "remarks": list(prediction.remarks)},
    }
    return labels, settings, "labels"
