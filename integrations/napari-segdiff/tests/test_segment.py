"""A layer in, a layer out, on napari's model of a viewer: no window is opened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("napari", reason="needs napari")

from napari.components import ViewerModel  # noqa: E402
from napari_segdiff._segment import current_plane, pixel_size, segment_plane  # noqa: E402

from segdiff.data.images import read_image  # noqa: E402

NUCLEI = Path(__file__).resolve().parents[3] / "examples" / "nuclei" / "val" / "images"


@pytest.fixture(scope="module")
def picture():
    return read_image(sorted(NUCLEI.iterdir())[0])


@pytest.fixture
def viewer():
    return ViewerModel()


def test_labels_lie_over_their_image_with_features(viewer, picture):
    rgb = picture.ndim == 3
    layer = viewer.add_image(picture[..., :3] if rgb else picture, rgb=rgb, scale=(0.5, 0.5), translate=(10, 20))
    data, settings, kind = segment_plane(layer, tuple(viewer.dims.current_step))
    assert kind == "labels" and data.shape == picture.shape[:2] and data.max() > 5
    added = viewer.add_labels(data, **settings)
    assert np.array_equal(added.scale, layer.scale) and np.array_equal(added.translate, layer.translate)
    features = added.features
    assert features["index"].tolist() == list(range(1, data.max() + 1))
    assert features["area"].tolist() == np.bincount(data.ravel())[1:].tolist()
    assert {"probability", "confidence", "solidity", "touches_border"} <= set(features)
    assert "area_um2" not in features  # the layer does not say what its scale is


def test_the_plane_that_is_shown_of_a_stack(viewer):
    stack = np.arange(3 * 4 * 5 * 6, dtype=np.uint8).reshape(3, 4, 5, 6)
    layer = viewer.add_image(stack)
    viewer.dims.current_step = (2, 1, 0, 0)
    assert np.array_equal(current_plane(layer, tuple(viewer.dims.current_step)), stack[2, 1])
    other = viewer.add_image(stack[0])  # of fewer dimensions than the viewer
    assert np.array_equal(current_plane(other, tuple(viewer.dims.current_step)), stack[0, 1])
    colours = viewer.add_image(np.zeros((3, 5, 6, 3), np.uint8), rgb=True)
    assert current_plane(colours, tuple(viewer.dims.current_step)).shape == (5, 6, 3)


def test_the_finest_of_several_resolutions(viewer):
    fine = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    layer = viewer.add_image([fine, fine[::2, ::2], fine[::4, ::4]], multiscale=True)
    assert np.array_equal(current_plane(layer, tuple(viewer.dims.current_step)), fine)


def test_micrometres_are_those_that_the_layer_names(viewer):
    plane = np.zeros((8, 9), np.uint8)
    assert pixel_size(viewer.add_image(plane, scale=(0.25, 0.25))) is None
    assert pixel_size(viewer.add_image(plane, scale=(0.25, 0.25), units=("um", "um"))) == 0.25
    assert pixel_size(viewer.add_image(plane, scale=(0.25, 0.5), units=("um", "um"))) is None
    assert pixel_size(viewer.add_image(plane, scale=(0.25, 0.25), units=("mm", "mm"))) is None


def test_the_manifest_is_valid():
    from npe2 import PluginManifest

    manifest = PluginManifest.from_file(Path(__file__).parents[1] / "napari_segdiff" / "napari.yaml")
    (widget,) = manifest.contributions.widgets
    (command,) = manifest.contributions.commands
    assert widget.command == command.id and command.python_name == "napari_segdiff._widget:segment_widget"
