"""The widget itself, with Qt but without a window (QT_QPA_PLATFORM=offscreen)."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
pytest.importorskip("napari", reason="needs napari")
widgets = pytest.importorskip("qtpy.QtWidgets", reason="needs Qt")

from napari.components import ViewerModel  # noqa: E402
from napari_segdiff._widget import segment_widget  # noqa: E402

from segdiff.data.images import read_image  # noqa: E402

NUCLEI = Path(__file__).resolve().parents[3] / "examples" / "nuclei" / "val" / "images"


def test_the_button_segments_in_a_thread():
    application = widgets.QApplication.instance() or widgets.QApplication([])
    viewer = ViewerModel()
    picture = read_image(sorted(NUCLEI.iterdir())[0])[..., :3]
    layer = viewer.add_image(picture, rgb=True)
    widget = segment_widget()
    assert [one.name for one in widget] == ["viewer", "image", "model", "diameter", "call_button"]
    worker, found = widget(viewer=viewer, image=layer), []
    worker.returned.connect(found.append)
    worker.errored.connect(found.append)
    began = time.monotonic()
    while not found and time.monotonic() - began < 300:
        application.processEvents()
        time.sleep(0.02)
    data, settings, kind = found[0]
    added = viewer.add_labels(data, **settings)
    assert kind == "labels" and added.data.shape == picture.shape[:2] and len(added.features) == np.max(data) > 5
