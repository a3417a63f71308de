"""What every kind of target can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from numpy.typing import NDArray

from segdiff.data.datasets.base import Sample

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Decoded:
    """What blended chains say of a picture, or of a part of it, by meaning.

    Attributes:
        probability: float32 (H, W), in [0, 1], before any temperature; (M, H, W) of a target that leaves several
            channels as they are.
        uncertainty: deviation over chains, likewise; None of a single chain.
        chains: (K, ...) of the same, where chains were kept.
        core, core_chains: of the middles of objects, where the target has them.
    """

    probability: Any
    uncertainty: Any = None
    chains: NDArray[Any] | None = None
    core: Any = None
    core_chains: NDArray[Any] | None = None


class Target(Protocol):
    """A kind of target: a frozen dataclass whose fields are its settings, so that equal settings make equal targets.

    Attributes:
        kind: its name in the table (`segdiff.targets.build`), in configurations and in model folders.
        channel_names: what each of the M channels of x_0 is.
        validation_scores: of `segdiff.metrics.table`, what a validation during training computes.
        monitor: the one of these that chooses the best weights; the greatest is the best.
        final_scores: what the last validation computes beside the scores of the protocol.
        calibrated: what is fitted to validation images at the end of a training: "temperature" (and the threshold with
            it), "conformal" (intervals of area and count), "confidence" (of objects), or nothing.
    """

    kind: ClassVar[str]
    validation_scores: ClassVar[tuple[str, ...]]
    monitor: ClassVar[str]
    final_scores: ClassVar[tuple[str, ...]]
    calibrated: ClassVar[tuple[str, ...]]

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Name the M channels of x_0, in order."""

    def encode(self, sample: Sample) -> Sample:
        """Give the sample the mask of this target's channels: uint8 (R, M, H, W) of 0 and 1, x_0 = 2 mask - 1."""

    def activate(self, output: Tensor) -> Tensor:
        """Turn what a network that predicts logits says, (B, M, H, W), into x_0 in [-1, 1]."""

    def soft_mask(self, output: Tensor) -> Tensor:
        """Turn it into (x_0 + 1) / 2 in [0, 1]: without gradient, by the cheapest way."""

    def cross_entropy(self, output: Tensor, x_0: Tensor) -> Tensor:
        """Compute the cross-entropy of logits with the true x_0, the mean over channels and pixels: (B,)."""

    def soft_dice(self, predicted: Tensor, x_0: Tensor) -> Tensor:
        """Compute 1 - soft Dice of a predicted x_0 with the true one, for each sample: (B,)."""

    def decode(self, probability: Any, uncertainty: Any, chains: NDArray[Any] | None = None) -> Decoded:
        """Name what blended chains say; arrays as `Decoded` has them, with the channels of the network."""
