"""A slide's result, read window by window from the strips of its models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.data.regions import Region
from segdiff.data.windows import Window
from segdiff.inference.options import PredictOptions
from segdiff.inference.prediction import Prediction
from segdiff.inference.protocol import Predictor
from segdiff.workflows.slides.store import StripStore


class SlideResult:
    """What a predictor says of a slide.

    Args:
        predictor: one model or several.
        options: of the prediction.
        stores: the strips of each model, in the order of `predictor.models`.
        region: outside of it there is nothing; None: everywhere may be.
    """

    def __init__(
        self, predictor: Predictor, options: PredictOptions, stores: Sequence[StripStore], region: Region | None = None
    ) -> None:
        self.predictor, self.options, self.stores, self.region = predictor, options, list(stores), region
        self.shape = (stores[0].height, stores[0].width)
        self._empty = [model.empty(told) for model, told in predictor.models(options)]
        self._last: tuple[Window, Prediction] | None = None

    @property
    def has_core(self) -> bool:
        """Whether it tells the middles of objects."""
        return self._empty[0].core is not None

    @property
    def confidence_coefficients(self) -> tuple[float, ...] | None:
        """What makes a confidence of an object's probability and size; None where the model has none."""
        return self.predictor.joined(self._empty, self.options).confidence_coefficients

    @property
    def class_name(self) -> str:
        """What one object is."""
        return self.predictor.inference.class_name

    def read(self, window: Window) -> Prediction:
        """Return the prediction of a window."""
        if self._last is None or self._last[0] != window:
            said = [store.read(window, empty) for store, empty in zip(self.stores, self._empty, strict=True)]
            self._last = (window, self.predictor.joined(said, self.options))
        return self._last[1]

    def read_mask(self, window: Window) -> NDArray[np.bool_]:
        """Return the mask of a window; of glass it costs next to nothing."""
        if not any(store.holds(window) for store in self.stores):
            return np.zeros((window.height, window.width), bool)
        mask = self.read(window).mask
        return mask if self.region is None else mask & self.region.mask(window)

    def read_core(self, window: Window) -> NDArray[np.float32]:
        """Return the middles of objects in a window."""
        core = self.read(window).core
        assert core is not None
        return core

    @property
    def mask(self) -> Sliced:
        """The mask as an array that is read where it is sliced."""
        return Sliced(self.shape, self.read_mask)

    @property
    def core(self) -> Sliced | None:
        """Likewise the middles of objects; None of a model without them."""
        return Sliced(self.shape, self.read_core) if self.has_core else None


class Sliced:
    """Slices of rows and columns, by a function of windows."""

    def __init__(self, shape: tuple[int, int], read: Callable[[Window], NDArray[Any]]) -> None:
        self.shape, self._read = shape, read

    def __getitem__(self, key: tuple[slice, slice]) -> NDArray[Any]:
        rows, columns = (range(length)[one] for one, length in zip(key, self.shape, strict=True))
        return self._read(Window(rows.start, columns.start, len(rows), len(columns)))
