"""segdiff in napari: an image layer in, labels with features out."""

from napari_segdiff._segment import segment_plane

__all__ = ["segment_plane"]
