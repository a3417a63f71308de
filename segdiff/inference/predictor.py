"""One trained model that is ready to predict: an image in, a `Prediction` out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segdiff.diffusion.noise import NoiseField, image_key
from segdiff.diffusion.sampling import Sampling
from segdiff.inference import looks
from segdiff.inference.blend import Blend, weights_named
from segdiff.inference.chains import ChainStatistics
from segdiff.inference.layers import Allocate, empty_blend, layers_of, square_root, stacked, tempered
from segdiff.inference.objects import typical_diameter
from segdiff.inference.options import (
    ComputeOptions,
    InferenceSettings,
    PredictOptions,
    confidence_at,
    conformal_at,
    scale_factor,
)
from segdiff.inference.prediction import Prediction
from segdiff.inference.rescale import Grids
from segdiff.inference.run import Picture, Progress, WindowRunner
from segdiff.inference.source import Source
from segdiff.inference.strips import Choice, RowBlend, Strip, window_rows
from segdiff.inference.temperature import check_temperature, temper_threshold
from segdiff.inference.windows import Window, plan_windows, round_up
from segdiff.models.compiled import compile_segmenter
from segdiff.models.device import pick_device, resolve_precision
from segdiff.models.normalisation import Normalisation
from segdiff.models.segmenter import Segmenter
from segdiff.settings import changed, plain


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model beside its network.

    Args:
        identity: "name@hash", for records.
        scale: "mpp" and "object_diameter_px" as the model was trained, each a number or None.
        looks: what its training pictures look like, to tell of a picture that is unlike them (`inference.looks`).
    """

    identity: str = "unnamed"
    scale: Mapping[str, float | None] = field(default_factory=dict)
    looks: Mapping[str, Sequence[float]] = field(default_factory=dict)


class ModelPredictor:
    """A trained model that is ready to predict; a `segdiff.inference.protocol.Predictor`.

    Args:
        segmenter: see `segdiff.models.segmenter.Segmenter`; it is moved to the device.
        normalisation: from pixels to what the segmenter sees.
        sampling: how chains are run unless `predict` is told otherwise.
        inference: windows, weights, threshold and grid, likewise.
        info: what is known of the model: identity, scale, training pictures.
        compute: where and how its network runs.
    Raises:
        ConfigError: a device or precision that this machine does not have.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        normalisation: Normalisation,
        sampling: Sampling,
        inference: InferenceSettings | None = None,
        info: ModelInfo | None = None,
        compute: ComputeOptions | None = None,
    ) -> None:
        info, compute = info or ModelInfo(), compute or ComputeOptions()
        self.device = pick_device(compute.device)
        self.runtime, self.compiled = compute.runtime, compute.compiled
        self.precision = resolve_precision(self.device, compute.precision)
        # Convolutions over channels-last weights are the faster ones on GPUs and CPUs (benchmarks/layout.py).
        self.segmenter = segmenter.to(self.device).to(memory_format=torch.channels_last)
        if compute.compiled:
            self.segmenter = compile_segmenter(self.segmenter, self.device)
        self.normalisation = normalisation
        self.sampling = sampling
        self.inference = inference or InferenceSettings()
        self.identity, self.scale, self.looks = info.identity, dict(info.scale), dict(info.looks)
        self.target = segmenter.target
        self._runner = WindowRunner(self.segmenter, self.device, self.precision)

    @property
    def identities(self) -> list[str]:
        """Its identity, as of a model that is no ensemble."""
        return [self.identity]

    @property
    def image_channels(self) -> int:
        """C of the images that it sees."""
        return self.segmenter.image_channels

    @property
    def mask_channels(self) -> int:
        """M of what it gives."""
        return self.segmenter.mask_channels

    @property
    def known_mpp(self) -> float | None:
        """Micrometres per pixel that it was trained at; None where unknown."""
        return self.scale.get("mpp")

    @property
    def takes_mpp(self) -> bool:
        """Whether micrometres per pixel of an image decide how it is seen."""
        return self.known_mpp is not None and self.inference.grid is None

    def check(self, options: PredictOptions | None = None) -> None:
        """Raise ConfigError where the model cannot sample so: found before any work. None: as it does by itself."""
        self.segmenter.check((options or PredictOptions()).sampling_of(self.sampling))

    def threshold_at(self, temperature: float | None) -> float:
        """The threshold at another temperature than the model's that gives the same mask; None: the model's own."""
        own = self.inference
        if temperature is None:
            return own.threshold
        return temper_threshold(own.threshold, check_temperature(temperature) / own.temperature)

    def describe(self, options: PredictOptions | None = None) -> dict[str, Any]:
        """What determines its results under these options, as plain values, for records."""
        options = options or PredictOptions()
        threshold, temperature = self._cut(options)
        inference = replace(self.inference, threshold=threshold, temperature=temperature)
        sampling = options.sampling_of(self.sampling)
        return {"model": self.identity, "sampling": plain(sampling), "inference": plain(inference)}

    def machine(self) -> dict[str, Any]:
        """Where and how its network runs, as plain values, for records."""
        names = ("precision", "runtime", "compiled")
        return {"device": str(self.device), **{name: getattr(self, name) for name in names}}

    def kept_maps(self, options: PredictOptions) -> int:
        """How many maps of an image's size `keep_chains` keeps: one of each chain and mask channel."""
        return options.sampling_of(self.sampling).chains * self.mask_channels

    def predict(
        self,
        array: Any,
        options: PredictOptions | None = None,
        *,
        progress: Progress | None = None,
        allocate: Allocate | None = None,
        **changes: Any,
    ) -> Prediction:
        """Predict one image. The answer depends on the image, the seed and the settings, and on nothing else.

        Args:
            array: (H, W) or (H, W, C) as it was read. Anything with `shape`, `dtype` and slices: windows are
                read when they are needed. Read as a whole only where it is resized to the model's grid.
            options: what it may be told; None: nothing.
            progress: called with (done, total), in chains times windows.
            allocate: makes the arrays of the result: a shape to float32 zeros that take slices (numpy.zeros,
                or a memory map for what does not fit memory).
            changes: fields of `PredictOptions` by their names, in place of those of `options`.
        Raises:
            ShapeError, DataError: not an image that this model takes.
            ConfigError: settings that contradict each other.
            UserError: memory does not suffice for a single window.
        """
        options = changed(options or PredictOptions(), changes)
        self.check(options)
        source = Source(array, self.image_channels)
        picture, plan = self._planned(source, options)
        probability, spread, chains = self._blended(picture, plan, options, progress, allocate)
        source.blank(probability, spread, chains)
        found = self._prediction(options, probability, spread, chains)
        # Of what lies on disk nothing is counted: it may not fit memory.
        remarks = self._remarks(source, found.mask, found.core, picture.grids.factor) if allocate is None else ()
        return replace(found, remarks=remarks)

    def strips(
        self,
        array: Any,
        options: PredictOptions | None = None,
        choice: Choice | None = None,
        *,
        progress: Progress | None = None,
    ) -> Iterator[Strip]:
        """Predict one image in strips of finished rows: what `predict` gives, in bounded memory.

        Args:
            array, options, progress: as of `predict`. Chains are not kept.
            choice: which windows are run, and which rows of windows; None: all.
        Yields:
            A strip for each row of windows, from the top down.
        Raises:
            As `predict`.
        """
        options, choice = replace(options or PredictOptions(), keep_chains=False), choice or Choice()
        self.check(options)
        source = Source(array, self.image_channels, aside=choice.aside)
        picture, plan = self._planned(source, options)
        blend = RowBlend(picture.grids.image[1], self.mask_channels, weights_named(self.inference.weights))

        def run(windows: Sequence[Window], report: Progress) -> Iterator[tuple[Window, ChainStatistics]]:
            sampling = options.sampling_of(self.sampling)
            return self._runner.run(picture, windows, sampling, batch_size=options.batch_size, progress=report)

        for row, window, tiles in blend.rows(plan, picture.grids, choice, run, progress):
            predictions = {}
            for left, (probability, variance) in tiles.items():
                place = Window(window.top, left, window.height, probability.shape[-1])
                source.blank_part(place, probability, variance)
                spread = None if variance is None else np.sqrt(variance)
                predictions[left] = self._prediction(options, probability, spread)
            yield Strip(row, window, predictions)

    def row_count(self, array: Any, options: PredictOptions) -> int:
        """Count the rows of windows, and so the strips, of an image."""
        return len(window_rows(self._planned(Source(array, self.image_channels), options)[1]))

    def models(self, options: PredictOptions) -> list[tuple[ModelPredictor, PredictOptions]]:
        """Return itself and the options, as a predictor that is a single model."""
        return [(self, options)]

    def joined(self, predictions: Sequence[Prediction], options: PredictOptions) -> Prediction:
        """Return its one prediction."""
        return predictions[0]

    def remarks_on(self, array: Any, choice: Choice | None = None) -> tuple[str, ...]:
        """Say what of an image holds no data, and what makes it unlike the training's pictures; objects aside."""
        source = Source(array, self.image_channels, aside=None if choice is None else choice.aside)
        return self._remarks_on_picture(source)

    def empty(self, options: PredictOptions) -> Prediction:
        """Return a prediction of these options without a pixel, to be filled with stored strips."""
        nothing = np.zeros((self.mask_channels, 0, 0) if self.mask_channels > 1 else (0, 0), np.float32)
        return self._prediction(options, nothing, None)

    def _prediction(
        self, options: PredictOptions, probability: Any, spread: Any, chains: NDArray[np.float32] | None = None
    ) -> Prediction:
        """What blended chains say, for the whole image or a part of it."""
        threshold, temperature = self._cut(options)
        decoded = self.target.decode(probability, spread, chains)
        return Prediction(
            raw_probability=np.array(decoded.probability) if options.keep_raw else None,
            probability=tempered(decoded.probability, temperature),
            uncertainty=decoded.uncertainty,
            threshold=threshold,
            sampling=options.sampling_of(self.sampling),
            seed=options.seed,
            model=self.identity,
            chains=decoded.chains,
            core=decoded.core,
            core_chains=decoded.core_chains,
            chain_threshold=temper_threshold(threshold, 1 / temperature),
            class_name=self.inference.class_name,
            conformal=conformal_at(self.inference, threshold, temperature),
            confidence_coefficients=confidence_at(self.inference, temperature),
        )

    def scale_factor(self, options: PredictOptions) -> float:
        """The factor from an image's grid to the model's: 1 where nothing is known.

        Raises:
            ConfigError: mpp or diameter is given and the model has none, or the model resizes every picture to one
                grid.
        """
        return scale_factor(options, self.scale, self.inference.grid)

    def _cut(self, options: PredictOptions) -> tuple[float, float]:
        """Threshold and temperature under these options."""
        threshold = self.threshold_at(options.temperature) if options.threshold is None else options.threshold
        return threshold, self.inference.temperature if options.temperature is None else options.temperature

    def _planned(self, source: Source, options: PredictOptions) -> tuple[Picture, list[Window]]:
        """The image on the model's grid, and its windows."""
        window, overlap = options.windows or (self.inference.window, self.inference.overlap)
        grids = self._grids(source, self.scale_factor(options), options.grid)
        view = source if grids.same else source.resized(grids)
        multiple = self.segmenter.size_multiple
        whole = (round_up(view.height, multiple), round_up(view.width, multiple))
        if window is None:
            padded = whole
        else:
            window = round_up(window, multiple)
            padded = (min(window, whole[0]), min(window, whole[1]))
        picture = Picture(
            source=view,
            normalise=self.normalisation.fit(view.statistics, view.convert),
            noise=NoiseField(options.seed, image_key(source.array)),
            grids=grids,
            padded=padded,
        )
        return picture, plan_windows(view.height, view.width, window, overlap)

    def _blended(
        self,
        picture: Picture,
        plan: Sequence[Window],
        options: PredictOptions,
        progress: Progress | None,
        allocate: Allocate | None,
    ) -> tuple[Any, Any, NDArray[np.float32] | None]:
        """Mean over chains, their deviation (None of a single one), and the chains where they are kept."""
        weights, grids = weights_named(self.inference.weights), picture.grids
        blend: Blend | None = None
        for place, statistics in self._runner.run(
            picture,
            plan,
            options.sampling_of(self.sampling),
            batch_size=options.batch_size,
            keep_chains=options.keep_chains,
            progress=progress,
        ):
            values = layers_of(statistics)
            if blend is None:  # now it is known whether there are several chains
                blend = empty_blend(len(values), self.mask_channels, grids.image, allocate)
            importance = grids.to_image(weights(place.height, place.width), place)
            blend.add(grids.place(place), values, importance)
        assert blend is not None  # a picture has at least one window
        probability, *others = blend.finish()
        several = statistics.count > 1
        spread = square_root(others[0]) if several else None
        del blend
        chains = stacked(others, 1 if several else 0) if options.keep_chains else None
        return probability, spread, chains

    def _remarks(self, source: Source, mask: Any, core: Any, factor: float) -> tuple[str, ...]:
        """What holds no data, and what is unlike the training's pictures, where those are known."""
        found = self._remarks_on_picture(source)
        if not self.looks:
            return found
        known = self.looks if self.inference.grid is None else {}  # a fixed grid has no scale that could be chosen
        return (*found, *looks.remarks_on_objects(typical_diameter(mask, core), known, factor))

    def _remarks_on_picture(self, source: Source) -> tuple[str, ...]:
        left_out = () if source.no_data is None else (source.no_data.note,)
        if not self.looks:
            return left_out
        return (*left_out, *looks.remarks_on_picture(looks.measure(source.statistics, source.convert), self.looks))

    def _grids(self, source: Source, factor: float, grid: tuple[int, int] | None) -> Grids:
        grid = grid or self.inference.grid
        if grid is None:
            return Grids.at_scale(source.height, source.width, factor)
        # As published: without averaging, and without a look at the picture's proportions.
        return Grids((source.height, source.width), grid, fixed=True)
