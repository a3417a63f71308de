"""What a prediction may be told, and what runs it: built once, recorded as it is, passed whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Integral
from typing import Any, Literal

from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError
from segdiff.inference.blend import weights_named
from segdiff.inference.confidence import TERMS
from segdiff.inference.temperature import check_temperature
from segdiff.inference.windows import window_starts
from segdiff.settings import plain

BatchSize = int | Literal["auto"]
OF_SAMPLING = ("chains", "steps", "sampler", "views")
LENGTHS = ("mpp", "scale", "diameter")
# What a prediction's own description says already (sampling, threshold, temperature), or what changes no result.
DESCRIBED = (*OF_SAMPLING, "sampling", "threshold", "temperature")
INDIFFERENT = ("batch_size", "keep_chains", "keep_raw")
CLASS_NAME_BEFORE = "Nucleus"  # of artifacts and records of before there was `class_name`


@dataclass(frozen=True)
class ConformalSettings:
    """How area and count become intervals, as it was fitted to validation images (`segdiff.workflows.numbers`).

    Args:
        level: share of images like those whose number the interval covers.
        images: how many it was fitted to.
        area, count: shift and factor (`segdiff.metrics.conformal.ConformalFit`); None: not fitted.
    Raises:
        ConfigError: a level, or numbers, that cannot be.
    """

    level: float = 0.9
    images: int = 0
    area: tuple[float, ...] | None = None
    count: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ConfigError(f"conformal.level={self.level}: it lies between 0 and 1")
        for name in ("area", "count"):
            if (fit := getattr(self, name)) is None:
                continue
            object.__setattr__(self, name, tuple(fit))
            if len(fit) != 2 or not all(-float("inf") < value < float("inf") for value in fit) or fit[1] < 0:
                raise ConfigError(f"conformal.{name}={list(fit)}: shift and factor, which is 0 or more, are needed")


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
        class_name: what one object is, such as "Nucleus": outlines carry it.
        conformal: how area and count become intervals at this threshold and temperature.
        confidence: coefficients that make a probability of what is known of an object (`segdiff.inference.confidence`),
            at this temperature; None: not fitted.
    Raises:
        ConfigError: a value outside those.
    """

    window: int | None = 256
    overlap: float = 0.25
    weights: str = "gaussian"
    threshold: float = 0.5
    grid: tuple[int, int] | None = None
    temperature: float = 1.0
    class_name: str = "Object"
    conformal: ConformalSettings = ConformalSettings()
    confidence: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "confidence", check_confidence(self.confidence))
        if self.grid is not None:
            object.__setattr__(self, "grid", check_grid(self.grid))
        weights_named(self.weights)
        window_starts(1, 1 if self.window is None else self.window, self.overlap)
        check_threshold(self.threshold)
        check_temperature(self.temperature)
        if not self.class_name.strip():
            raise ConfigError("class_name is empty: say what one object is, such as Nucleus")


@dataclass(frozen=True)
class PredictOptions:
    """What a prediction may be told; what is None is the model's own.

    Args:
        seed: of the noise, 0 to 2^63 - 1; images differ in noise by what they show.
        chains: how many chains are averaged.
        steps: of a chain; takes the place of a list of times, which would otherwise overrule it.
        sampler: see `segdiff.diffusion.sampling.Sampling`, like the next two.
        views: number of dihedral views, 1 to 8.
        sampling: all of it at once, in place of the model's (of an ensemble: of every member's); `chains`, `steps`,
            `sampler` and `views` then change this one.
        threshold: a probability above it is object, 0 to 1.
        temperature: of the probability, not of the chains; above 0. A threshold that is not given moves with it, so
            that the mask stays the same.
        mpp: micrometres per pixel of the image, for a model that knows its own.
        scale: instead of mpp: factor from the image's grid to the model's.
        diameter: instead of both: of a typical object of the image, in its pixels, for a model that knows its own.
        windows: (window, overlap), as of `InferenceSettings`.
        grid: (height, width) that the picture is resized to.
        batch_size: entries (chains times windows) in one call of the network; "auto" begins with a guess and halves it
            when an allocation fails. Changes memory and speed, not the result.
        keep_chains: also give every chain; memory grows with their number.
        keep_raw: also give the probability before the temperature.
    Raises:
        ConfigError: a value outside those, or more than one of mpp, scale and diameter.
    """

    seed: int = 0
    chains: int | None = None
    steps: int | None = None
    sampler: str | None = None
    views: int | None = None
    sampling: Sampling | None = None
    threshold: float | None = None
    temperature: float | None = None
    mpp: float | None = None
    scale: float | None = None
    diameter: float | None = None
    windows: tuple[int | None, float] | None = None
    grid: tuple[int, int] | None = None
    batch_size: BatchSize = "auto"
    keep_chains: bool = False
    keep_raw: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, Integral) or not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed={self.seed}: a whole number from 0 to 2^63 - 1 is needed")
        self.sampling_of(self.sampling or Sampling())
        if self.threshold is not None:
            check_threshold(self.threshold)
        if self.temperature is not None:
            check_temperature(self.temperature)
        self._check_lengths()
        if self.windows is not None:
            window, overlap = self.windows
            window_starts(1, 1 if window is None else window, overlap)
        if self.grid is not None:
            object.__setattr__(self, "grid", check_grid(self.grid))
        if self.batch_size != "auto" and not (isinstance(self.batch_size, Integral) and self.batch_size >= 1):
            raise ConfigError(f"batch_size={self.batch_size}: at least 1 is needed, or auto")

    def _check_lengths(self) -> None:
        given = [name for name in LENGTHS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ConfigError("give one of mpp, scale and diameter")
        for name in given:
            if not 0 < (value := getattr(self, name)) < float("inf"):
                raise ConfigError(f"{name}={value}: it must be a positive number")

    def sampling_of(self, own: Sampling) -> Sampling:
        """Return the sampling that these options make of a model's own.

        Raises:
            ConfigError: a value that `Sampling` refuses.
        """
        changes = {name: value for name in OF_SAMPLING if (value := getattr(self, name)) is not None}
        if self.steps is not None:
            changes["times"] = None
        return replace(self.sampling or own, **changes)

    def deciding(self) -> dict[str, Any]:
        """Return what decides the result and no description of the model says (`Predictor.describe`), plain."""
        kept = (f.name for f in fields(self) if f.name not in DESCRIBED + INDIFFERENT)
        return {name: plain(getattr(self, name)) for name in kept}


@dataclass(frozen=True)
class ComputeOptions:
    """Where and how a network runs.

    Args:
        device: "auto" (cuda, mps, cpu) or a name.
        precision: "auto", "bf16" or "float32".
        runtime: what runs the segmenter's network: "torch", "onnx" or "openvino".
        compiled: compile the network (`segdiff.models.compiled`), which takes a minute at the first picture.
    """

    device: str = "auto"
    precision: str = "auto"
    runtime: str = "torch"
    compiled: bool = False


def conformal_at(settings: InferenceSettings, threshold: float, temperature: float) -> ConformalSettings:
    """Return the intervals of a model's settings, or none at a threshold or temperature that are not its own."""
    own = (threshold, temperature) == (settings.threshold, settings.temperature)
    return settings.conformal if own else ConformalSettings(settings.conformal.level)


def confidence_at(settings: InferenceSettings, temperature: float) -> tuple[float, ...] | None:
    """Return the coefficients of a model's settings, or None at a temperature that is not its own."""
    return settings.confidence if temperature == settings.temperature else None


def needs_chains(settings: InferenceSettings, options: PredictOptions) -> bool:
    """Return whether the confidence in objects has to be taken from chains, under these options."""
    temperature = settings.temperature if options.temperature is None else options.temperature
    return confidence_at(settings, temperature) is None


def check_confidence(coefficients: Sequence[float] | None) -> tuple[float, ...] | None:
    """ConfigError unless it is None, or as many finite numbers as there are terms (`segdiff.inference.confidence`)."""
    if coefficients is None:
        return None
    if len(coefficients) != len(TERMS) or not all(-float("inf") < value < float("inf") for value in coefficients):
        needed = f"{len(TERMS)} finite numbers are needed: {', '.join(TERMS)}"
        raise ConfigError(f"confidence={list(coefficients)}: {needed}")
    return tuple(float(value) for value in coefficients)


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


def scale_factor(options: PredictOptions, scale: Mapping[str, float | None], grid: tuple[int, int] | None) -> float:
    """Return the factor from an image's grid to the model's: 1 where nothing is known.

    Args:
        options: mpp, scale or diameter of the image.
        scale: "mpp" and "object_diameter_px" of the model, each a number or None.
        grid: that the model resizes every picture to; None: it follows the scale.
    Raises:
        ConfigError: as `segdiff.inference.predictor.ModelPredictor.scale_factor`.
    """
    mpp, diameter = options.mpp, options.diameter
    if grid is not None and any(value is not None for value in (mpp, options.scale, diameter)):
        seen = " x ".join(map(str, grid))
        raise ConfigError(f"this model sees every picture at {seen}: mpp, scale and diameter do not apply")
    typical, own = scale.get("object_diameter_px"), scale.get("mpp")
    if diameter is not None:
        if typical is None:
            raise ConfigError(f"diameter={diameter}: this model does not know its own; give scale (--scale) instead")
        return typical / diameter
    if mpp is not None:
        if own is None:
            others = "scale (--scale)"
            if typical is not None:
                others = "how wide a typical object is in pixels (--diameter), or scale (--scale),"
            raise ConfigError(f"mpp={mpp}: this model does not know its own; give {others} instead")
        return mpp / own
    return 1.0 if options.scale is None else options.scale
