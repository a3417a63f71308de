"""What a model says about one image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError, ShapeError
from segdiff.inference.confidence import object_confidence
from segdiff.inference.objects import FoundObject, describe_objects, means_and_areas, separate, shares_of_chains
from segdiff.inference.options import ConformalSettings
from segdiff.inference.overlay import draw_overlay
from segdiff.inference.temperature import check_temperature, temper, temper_threshold
from segdiff.inference.threads import in_threads


@dataclass(frozen=True, eq=False)
class Prediction:
    """Probability, uncertainty and mask of one image, on its own grid.

    Attributes:
        probability: float32 (H, W), in [0, 1]: the mean over chains, at the model's temperature; (M, H, W) for a model
            of M > 1 mask channels.
        uncertainty: float32 of the same shape, in [0, 0.5]: the standard deviation over chains; None where
            there is a single chain.
        threshold: of the mask.
        sampling: how the chains were run.
        seed: of the noise.
        model: identity of the model, "name@hash".
        chains: float32 (K, H, W) or (K, M, H, W), clamped to [0, 1]; None unless asked for.
        raw_probability: `probability` before the temperature, which acts on nothing else; None unless asked for.
        core: float32 (H, W), in [0, 1]: of the middles of objects (`segdiff.targets.instances`), from models that were
            trained to find them; None from others.
        core_chains: likewise of each chain, (K, H, W), with `chains`.
        chain_threshold: of a chain's own mask: the threshold before the temperature, which chains do not know.
        remarks: what makes this picture unlike those that the model was trained on, in words (`inference.looks`).
        class_name: what one object is, such as "Nucleus".
        conformal: how area and count become intervals (`segdiff.workflows.numbers`); nothing is fitted where threshold
            or temperature are not the model's own.
        confidence_coefficients: make a probability of what is known of an object (`inference.confidence`); None where
            the model has none, or the temperature is not its own.
    """

    probability: NDArray[np.float32]
    uncertainty: NDArray[np.float32] | None
    threshold: float
    sampling: Sampling
    seed: int
    model: str
    chains: NDArray[np.float32] | None = None
    raw_probability: NDArray[np.float32] | None = None
    core: NDArray[np.float32] | None = None
    core_chains: NDArray[np.float32] | None = None
    chain_threshold: float = 0.5
    remarks: tuple[str, ...] = ()
    class_name: str = "Object"
    conformal: ConformalSettings = ConformalSettings()
    confidence_coefficients: tuple[float, ...] | None = None

    @property
    def mask(self) -> NDArray[np.bool_]:
        """probability > threshold: a tie is background. bool, the shape of `probability`."""
        return self.probability > self.threshold

    def instances(self) -> NDArray[np.int32]:
        """The objects of the mask, touching ones told apart: int32 (H, W), 0 is background (`inference.objects`)."""
        return separate(self.single_mask(), self.core)

    def confidence(self, instances: NDArray[np.int32]) -> NDArray[np.float64] | None:
        """Return how sure each of these objects is, in their order: (n,), in [0, 1].

        Where the model's confidence was calibrated: how likely it is a true object, by its mean probability and size
        (`inference.confidence`). Elsewhere the share of chains that have it, which is no probability: a chain has an
        object if one that is told apart in its own mask (above `chain_threshold`) overlaps it with an IoU above 0.5.
        None unless several chains were kept.
        """
        if self.confidence_coefficients is not None:
            probability, area = means_and_areas(instances, self.probability)
            return object_confidence(self.confidence_coefficients, probability, area)
        if self.chains is None or len(self.chains) < 2:
            return None
        cores = self.core_chains if self.core_chains is not None else [None] * len(self.chains)
        masks = (chain > self.chain_threshold for chain in self.chains)
        return shares_of_chains(instances, in_threads(separate, masks, cores))

    def objects(self) -> tuple[NDArray[np.int32], list[FoundObject]]:
        """`instances`, and what there is to say of each."""
        labels = self.instances()
        return labels, describe_objects(labels, self.probability, self.uncertainty, self.confidence(labels))

    def at(self, temperature: float, threshold: float) -> Prediction:
        """The prediction that the same chains make at another temperature and threshold.

        Raises:
            ConfigError: a temperature that cannot be, or `raw_probability` was not kept (`PredictOptions.keep_raw`).
        """
        if self.raw_probability is None:
            raise ConfigError("keep_raw=True is needed: the probability before the temperature was not kept")
        return replace(
            self,
            probability=temper(self.raw_probability, check_temperature(temperature)),
            threshold=threshold,
            chain_threshold=temper_threshold(threshold, 1 / temperature),
            conformal=ConformalSettings(),
            confidence_coefficients=None,
        )

    def overlay(self, image: NDArray[Any], labels: NDArray[np.integer] | None = None) -> NDArray[np.uint8]:
        """Draw the outline of the mask, or of each object of `labels`, on the image as it was read: uint8 (H, W, 3)."""
        return draw_overlay(image, self.single_mask(), labels)

    def single_mask(self) -> NDArray[np.bool_]:
        """`mask` of a model of one mask channel, (H, W); ShapeError of several."""
        if self.probability.ndim != 2:
            raise ShapeError(
                f"this model has {self.probability.shape[0]} mask channels; take .mask and choose one: "
                "pictures, instances and files are of a single one"
            )
        return self.mask
