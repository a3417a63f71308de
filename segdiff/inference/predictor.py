"""An image in, a `Prediction` out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segdiff.data.targets import check_channels
from segdiff.diffusion.noise import NoiseField, image_key
from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError
from segdiff.inference import looks
from segdiff.inference.blend import STRIP, Blend, weights_named
from segdiff.inference.chains import ChainStatistics
from segdiff.inference.objects import typical_diameter
from segdiff.inference.prediction import Prediction
from segdiff.inference.rescale import Grids
from segdiff.inference.run import BatchSize, Picture, Progress, WindowRunner
from segdiff.inference.source import Source
from segdiff.inference.temperature import check_temperature, temper, temper_threshold
from segdiff.inference.windows import plan_windows, round_up, window_starts
from segdiff.models.compiled import compile_segmenter
from segdiff.models.device import pick_device, resolve_precision
from segdiff.models.normalisation import Normalisation
from segdiff.models.segmenter import Segmenter


@dataclass(frozen=True)
class InferenceSettings:
    """How an image is cut and its mask decided; an artifact carries them.

    Args:
        window: side of the square windows in pixels of the model's grid, rounded up to what the network
            admits; None takes the whole image as one window.
        overlap: least share of a window that its neighbour covers too, 0 <= overlap < 1.
        weights: "gaussian" or "constant", of a window's pixels where windows overlap.
        threshold: a pixel is object where its probability is above it.
        grid: (height, width) that every picture is resized to, whatever its size and shape, as the published
            Cityscapes models see their crops; None: pictures keep their size, or follow the scale.
        temperature: log-odds of the probability are divided by it (`segdiff.inference.temperature`).
        channels: what the mask channels of the model are (`segdiff.data.targets`): the mask, or mask and core.
    Raises:
        ConfigError: a value outside those.
    """

    window: int | None = 256
    overlap: float = 0.25
    weights: str = "gaussian"
    threshold: float = 0.5
    grid: tuple[int, int] | None = None
    temperature: float = 1.0
    channels: tuple[str, ...] = ("mask",)

    def __post_init__(self) -> None:
        if self.grid is not None:
            object.__setattr__(self, "grid", check_grid(self.grid))
        weights_named(self.weights)
        window_starts(1, 1 if self.window is None else self.window, self.overlap)
        check_threshold(self.threshold)
        check_temperature(self.temperature)
        object.__setattr__(self, "channels", check_channels(self.channels))


def check_threshold(threshold: float) -> float:
    """ConfigError unless 0 <= threshold <= 1."""
    if not 0 <= threshold <= 1:
        raise ConfigError(f"threshold={threshold}: probabilities lie between 0 and 1")
    return threshold


def check_grid(grid: Sequence[int]) -> tuple[int, int]:
    """(height, width) as a tuple. ConfigError unless it is two numbers of 1 or more."""
    if len(grid) != 2 or min(grid) < 1:
        raise ConfigError(f"grid={list(grid)}: height and width in pixels are needed")
    return grid[0], grid[1]


class Predictor:
    """A trained model that is ready to predict.

    Args:
        segmenter: see `segdiff.models.segmenter.Segmenter`; it is moved to the device.
        normalisation: from pixels to what the segmenter sees.
        sampling: how chains are run unless `predict` is told otherwise.
        inference: windows, weights, threshold and grid, likewise.
        scale: "mpp" and "object_diameter_px" as the model was trained, each a number or None.
        familiar: what its training pictures look like, to tell of a picture that is unlike them (`inference.looks`).
        identity: "name@hash", for records.
        device: "auto" (cuda, mps, cpu) or a name.
        precision: "auto", "bf16" or "float32".
        runtime: what runs the segmenter's network, for records.
        compiled: compile the network (`segdiff.models.compiled`), which takes a minute at the first picture.
    Raises:
        ConfigError: a device or precision that this machine does not have.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        normalisation: Normalisation,
        sampling: Sampling,
        inference: InferenceSettings | None = None,
        scale: Mapping[str, float | None] | None = None,
        identity: str = "unnamed",
        device: str = "auto",
        precision: str = "auto",
        runtime: str = "torch",
        compiled: bool = False,
        familiar: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        self.device = pick_device(device)
        self.runtime, self.compiled = runtime, compiled
        self.precision = resolve_precision(self.device, precision)
        # Convolutions over channels-last weights are the faster ones on GPUs and CPUs (benchmarks/layout.py).
        self.segmenter = segmenter.to(self.device).to(memory_format=torch.channels_last)
        if compiled:
            self.segmenter = compile_segmenter(self.segmenter, self.device)
        self.normalisation = normalisation
        self.sampling = sampling
        self.inference = inference or InferenceSettings()
        self.scale, self.looks = dict(scale or {}), dict(familiar or {})
        self.identity = identity
        if len(self.inference.channels) not in (1, segmenter.mask_channels):
            names = ", ".join(self.inference.channels)
            raise ConfigError(f"a model of {segmenter.mask_channels} mask channel(s) has none called {names}")
        self._runner = WindowRunner(self.segmenter, self.device, self.precision)

    @property
    def known_mpp(self) -> float | None:
        """Micrometres per pixel that it was trained at; None where unknown."""
        return self.scale.get("mpp")

    def check(self, sampling: Sampling | None = None) -> None:
        """Raise ConfigError where the model cannot sample so: found before any work. None: as it does by itself."""
        self.segmenter.check(sampling or self.sampling)

    def threshold_at(self, temperature: float | None) -> float:
        """The threshold at another temperature than the model's that gives the same mask; None: the model's own."""
        own = self.inference
        if temperature is None:
            return own.threshold
        return temper_threshold(own.threshold, check_temperature(temperature) / own.temperature)

    def describe(self) -> dict[str, Any]:
        """What determines its results, as plain values, for records."""
        inference = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self.inference).items()}
        return {"model": self.identity, "sampling": asdict(self.sampling), "inference": inference}

    def predict(
        self,
        array: Any,
        *,
        seed: int = 0,
        sampling: Sampling | None = None,
        threshold: float | None = None,
        temperature: float | None = None,
        batch_size: BatchSize = "auto",
        keep_chains: bool = False,
        keep_raw: bool = False,
        mpp: float | None = None,
        scale: float | None = None,
        diameter: float | None = None,
        windows: tuple[int | None, float] | None = None,
        grid: tuple[int, int] | None = None,
        progress: Progress | None = None,
        allocate: Callable[[tuple[int, ...]], Any] | None = None,
    ) -> Prediction:
        """Predict one image. The answer depends on the image, the seed and the settings, and on nothing else.

        Args:
            array: (H, W) or (H, W, C) as it was read. Anything with `shape`, `dtype` and slices: windows are
                read when they are needed. Read as a whole only where it is resized to the model's grid.
            seed: of the noise; images differ in noise by what they show.
            sampling: instead of the predictor's.
            threshold: likewise; a probability above it is object.
            temperature: likewise; of the probability, not of the chains. A threshold that is not given moves with it,
                so that the mask stays the same.
            batch_size: entries (chains times windows) in one call of the network; "auto" begins with a guess
                and halves it when an allocation fails. Changes memory and speed, not the result.
            keep_chains: also give every chain; memory grows with their number.
            keep_raw: also give the probability before the temperature.
            mpp: micrometres per pixel of this image, for a model that knows its own.
            scale: instead of mpp: factor from the image's grid to the model's.
            diameter: instead of both: of a typical object of this image, in its pixels, for a model that knows its own.
            windows: (window, overlap) instead of those of the inference settings.
            grid: (height, width) that the picture is resized to, instead of that of the inference settings.
            progress: called with (done, total), in chains times windows.
            allocate: makes the arrays of the result: a shape to float32 zeros that take slices (numpy.zeros,
                or a memory map for what does not fit memory).
        Raises:
            ShapeError, DataError: not an image that this model takes.
            ConfigError: settings that contradict each other.
            UserError: memory does not suffice for a single window.
        """
        sampling = sampling or self.sampling
        self.check(sampling)
        threshold = self.threshold_at(temperature) if threshold is None else check_threshold(threshold)
        temperature = self.inference.temperature if temperature is None else check_temperature(temperature)
        window, overlap = windows or (self.inference.window, self.inference.overlap)

        source = Source(array, self.segmenter.image_channels)
        grids = self._grids(source, self.scale_factor(mpp, scale, diameter), grid)
        view = source if grids.same else source.resized(grids)
        multiple = self.segmenter.size_multiple
        whole = (round_up(view.height, multiple), round_up(view.width, multiple))
        if window is None:
            padded = whole
        else:
            window = round_up(window, multiple)
            padded = (min(window, whole[0]), min(window, whole[1]))
        plan = plan_windows(view.height, view.width, window, overlap)
        picture = Picture(
            source=view,
            normalise=self.normalisation.fit(view.array, view.convert),
            noise=NoiseField(seed, image_key(array)),
            grids=grids,
            padded=padded,
        )
        weights = weights_named(self.inference.weights)
        blend: Blend | None = None
        for place, statistics in self._runner.run(
            picture, plan, sampling, batch_size=batch_size, keep_chains=keep_chains, progress=progress
        ):
            values = _layers(statistics)
            if blend is None:  # now it is known whether there are several chains
                blend = _empty_blend(len(values), self.segmenter.mask_channels, grids.image, allocate)
            importance = grids.to_image(weights(place.height, place.width), place)
            blend.add(grids.place(place), values, importance)
        assert blend is not None  # a picture has at least one window
        probability, *others = blend.finish()
        several = statistics.count > 1
        spread = _square_root(others[0]) if several else None
        del blend
        chains = _stacked(others, 1 if several else 0) if keep_chains else None
        core = core_chains = None
        if "core" in self.inference.channels:
            core, probability = probability[1], probability[0]
            spread = None if spread is None else spread[0]
            if chains is not None:
                chains, core_chains = chains[:, 0], chains[:, 1]
        raw = np.array(probability) if keep_raw else None
        probability = _tempered(probability, temperature)
        # Of what lies on disk nothing is counted: it may not fit memory.
        remarks = self._remarks(source, probability > threshold, core, grids.factor) if allocate is None else ()
        return Prediction(
            probability=probability,
            uncertainty=spread,
            threshold=threshold,
            sampling=sampling,
            seed=seed,
            model=self.identity,
            chains=chains,
            raw_probability=raw,
            core=core,
            core_chains=core_chains,
            chain_threshold=temper_threshold(threshold, 1 / temperature),
            remarks=remarks,
        )

    def _remarks(self, source: Source, mask: Any, core: Any, factor: float) -> tuple[str, ...]:
        """What is unlike the training's pictures; nothing where those are not known."""
        if not self.looks:
            return ()
        found = looks.remarks_on_picture(looks.measure(source.array, source.convert), self.looks)
        known = self.looks if self.inference.grid is None else {}  # a fixed grid has no scale that could be chosen
        return (*found, *looks.remarks_on_objects(typical_diameter(mask, core), known, factor))

    def _grids(self, source: Source, factor: float, grid: tuple[int, int] | None) -> Grids:
        grid = self.inference.grid if grid is None else check_grid(grid)
        if grid is None:
            return Grids.at_scale(source.height, source.width, factor)
        # As published: without averaging, and without a look at the picture's proportions.
        return Grids((source.height, source.width), grid, fixed=True)

    def scale_factor(
        self, mpp: float | None = None, scale: float | None = None, diameter: float | None = None
    ) -> float:
        """The factor from an image's grid to the model's: 1 where nothing is known.

        Raises:
            ConfigError: more than one is given, one is not positive, mpp or diameter is given and the model has none,
                or the model resizes every picture to one grid.
        """
        given = {"mpp": mpp, "scale": scale, "diameter": diameter}
        if sum(value is not None for value in given.values()) > 1:
            raise ConfigError("give one of mpp, scale and diameter")
        for name, value in given.items():
            if value is not None and not 0 < value < float("inf"):
                raise ConfigError(f"{name}={value}: it must be a positive number")
        if self.inference.grid is not None and any(value is not None for value in given.values()):
            seen = " x ".join(map(str, self.inference.grid))
            raise ConfigError(f"this model sees every picture at {seen}: mpp, scale and diameter do not apply")
        if diameter is not None:
            typical = self.scale.get("object_diameter_px")
            if typical is None:
                raise ConfigError(
                    f"diameter={diameter}: this model does not know its own; give scale (--scale) instead"
                )
            return typical / diameter
        own = self.scale.get("mpp")
        if mpp is not None and own is None:
            others = "scale (--scale)"
            if self.scale.get("object_diameter_px") is not None:
                others = "how wide a typical object is in pixels (--diameter), or scale (--scale),"
            raise ConfigError(f"mpp={mpp}: this model does not know its own; give {others} instead")
        if mpp is not None and own is not None:
            return mpp / own
        return 1.0 if scale is None else scale


def _layers(statistics: ChainStatistics) -> list[NDArray[Any]]:
    """What is blended: the mean, the variance where there are several chains, and chains that were kept."""
    layers: list[NDArray[Any]] = [statistics.mean]
    if statistics.count > 1:
        layers.append(statistics.variance)
    return layers + list(statistics.chains or [])


def _empty_blend(
    layers: int, channels: int, size: tuple[int, int], allocate: Callable[[tuple[int, ...]], Any] | None
) -> Blend:
    """Zeros for the layers: (H, W) each for one mask channel, else (M, H, W)."""
    zeros = allocate or (lambda shape: np.zeros(shape, dtype=np.float32))
    shape = size if channels == 1 else (channels, *size)
    return Blend([zeros(shape) for _ in range(layers)], zeros(size))


def _stacked(layers: list[Any], first: int) -> NDArray[np.float32]:
    """The layers from `first` on as one array; each is let go of once it is copied, so that memory holds them once."""
    stacked = np.empty((len(layers) - first, *layers[first].shape), np.float32)
    for number in range(len(stacked)):
        stacked[number] = layers.pop(first)
    return stacked


def _tempered(probability: Any, temperature: float) -> Any:
    """In place, strip by strip, like `_square_root`."""
    if temperature != 1.0:
        for row in range(0, probability.shape[-2], STRIP):
            rows = slice(row, row + STRIP)
            probability[..., rows, :] = temper(probability[..., rows, :], temperature)
    return probability


def _square_root(variance: Any) -> Any:
    """In place, strip by strip: the array may lie on disk."""
    for row in range(0, variance.shape[-2], STRIP):
        rows = slice(row, row + STRIP)
        variance[..., rows, :] = np.sqrt(variance[..., rows, :])
    return variance
