"""What predicts: one model, or several as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from segdiff.diffusion.sampling import Sampling
from segdiff.inference.options import InferenceSettings, PredictOptions
from segdiff.inference.prediction import Prediction
from segdiff.inference.run import Progress
from segdiff.inference.strips import Choice, Strip
from segdiff.targets.base import Target


class Predictor(Protocol):
    """An image in, a `Prediction` out: what workflows, tools and users see of a model that is ready to predict.

    `segdiff.inference.predictor.ModelPredictor` is one of a single model, `segdiff.inference.ensemble.Ensemble`
    one of several predictors.
    """

    @property
    def identity(self) -> str:
        """ "name@hash", for records."""

    @property
    def identities(self) -> list[str]:
        """Those of all single models in it."""

    @property
    def sampling(self) -> Sampling:
        """How chains are run unless options say otherwise; of several models, how the first runs its own."""

    @property
    def inference(self) -> InferenceSettings:
        """Windows, threshold and temperature, likewise."""

    @property
    def image_channels(self) -> int:
        """C of the images that it sees."""

    @property
    def mask_channels(self) -> int:
        """M of what it gives."""

    @property
    def target(self) -> Target:
        """What it predicts."""

    @property
    def known_mpp(self) -> float | None:
        """Micrometres per pixel that it was trained at; None where unknown."""

    @property
    def takes_mpp(self) -> bool:
        """Whether micrometres per pixel of an image decide how it is seen."""

    def check(self, options: PredictOptions | None = None) -> None:
        """Raise ConfigError where it cannot sample so: found before any work. None: as it does by itself."""

    def threshold_at(self, temperature: float | None) -> float:
        """The threshold at another temperature than its own that gives the same mask; None: its own."""

    def scale_factor(self, options: PredictOptions) -> float:
        """The factor from an image's grid to the model's; ConfigError where mpp, scale or diameter do not apply."""

    def kept_maps(self, options: PredictOptions) -> int:
        """How many maps of an image's size `keep_chains` keeps."""

    def describe(self, options: PredictOptions | None = None) -> dict[str, Any]:
        """What determines its results under these options, as plain values: model, sampling, inference, members."""

    def machine(self) -> dict[str, Any]:
        """Where and how it runs, as plain values: device, precision, runtime, compiled."""

    def predict(
        self,
        array: Any,
        options: PredictOptions | None = None,
        *,
        progress: Progress | None = None,
        allocate: Callable[[tuple[int, ...]], Any] | None = None,
        **changes: Any,
    ) -> Prediction:
        """Predict one image: see `segdiff.inference.predictor.ModelPredictor.predict`."""

    def models(self, options: PredictOptions) -> Sequence[tuple[SingleModel, PredictOptions]]:
        """The single models in it, and what each is told so that `joined` can make one prediction of theirs."""

    def joined(self, predictions: Sequence[Prediction], options: PredictOptions) -> Prediction:
        """What it says where its models, in the order of `models`, say `predictions` of the same part of an image."""


class SingleModel(Predictor, Protocol):
    """A predictor of one model, which predicts images of any size in strips."""

    def strips(
        self,
        array: Any,
        options: PredictOptions | None = None,
        choice: Choice | None = None,
        *,
        progress: Progress | None = None,
    ) -> Iterator[Strip]:
        """Predict one image in strips: see `segdiff.inference.predictor.ModelPredictor.strips`."""

    def row_count(self, array: Any, options: PredictOptions) -> int:
        """How many strips an image has."""

    def remarks_on(self, array: Any, choice: Choice | None = None) -> tuple[str, ...]:
        """What makes an image unlike those that the model was trained on, its objects aside."""

    def empty(self, options: PredictOptions) -> Prediction:
        """A prediction of these options without a pixel, to be filled with stored strips."""
