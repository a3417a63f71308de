"""The widget: choose a layer and a model, segment in a thread, add the labels."""

# No `from __future__ import annotations`: magicgui reads the types of the arguments.
import napari.layers
import napari.types
import napari.viewer
from magicgui import magic_factory
from napari.qt.threading import FunctionWorker, thread_worker

from napari_segdiff._segment import segment_plane


@magic_factory(
    call_button="Segment",
    model={"tooltip": "a name that `segdiff models` lists, or the folder of a model of your own"},
    diameter={"tooltip": "of a typical nucleus in pixels; 0: by the model's own scale", "min": 0.0, "max": 10000.0},
)
def segment_widget(
    viewer: napari.viewer.Viewer, image: napari.layers.Image, model: str = "nuclei", diameter: float = 0.0
) -> FunctionWorker[napari.types.LayerDataTuple]:
    """Segment what the layer shows; the window stays usable meanwhile."""
    step = tuple(viewer.dims.current_step)

    @thread_worker
    def work() -> napari.types.LayerDataTuple:
        return segment_plane(image, step, model, diameter)

    worker = work()
    worker.start()
    return worker
