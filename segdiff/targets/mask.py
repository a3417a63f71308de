"""One mask: x_0 is -1 on the background and +1 on objects; logits are log-odds of each pixel by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from segdiff.data.datasets.base import Sample
from segdiff.targets.base import Decoded

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class MaskTarget:
    """What is object; see `segdiff.targets.base.Target` for what its methods do."""

    kind: ClassVar[str] = "mask"
    validation_scores: ClassVar[tuple[str, ...]] = ("dice", "iou")
    monitor: ClassVar[str] = "dice"
    final_scores: ClassVar[tuple[str, ...]] = ("ece_raw", "ece", "brier", "diversity")
    calibrated: ClassVar[tuple[str, ...]] = ("temperature", "conformal", "confidence")

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Name the M channels of x_0, in order."""
        return ("mask",)

    def encode(self, sample: Sample) -> Sample:
        """Return the sample as it is: data sets give masks."""
        return sample

    def activate(self, output: Tensor) -> Tensor:
        """Turn log-odds into x_0: tanh of the half."""
        return (output / 2).tanh()

    def soft_mask(self, output: Tensor) -> Tensor:
        """Turn log-odds into probabilities; `activate` takes five times as long for 2 p - 1."""
        return output.sigmoid()

    def cross_entropy(self, output: Tensor, x_0: Tensor) -> Tensor:
        """Compute the binary cross-entropy of log-odds, the mean over channels and pixels: (B,)."""
        import torch.nn.functional as F

        return F.binary_cross_entropy_with_logits(output, (x_0 + 1) / 2, reduction="none").flatten(1).mean(1)

    def soft_dice(self, predicted: Tensor, x_0: Tensor) -> Tensor:
        """Compute 1 - soft Dice of (predicted + 1) / 2 clamped to [0, 1], the mean over channels: (B,)."""
        from monai.losses.dice import DiceLoss  # some seconds to import: only for runs that use it

        per_channel: Tensor = DiceLoss(reduction="none")((predicted.clamp(-1, 1) + 1) / 2, (x_0 + 1) / 2)
        return per_channel.flatten(1).mean(1)

    def decode(self, probability: Any, uncertainty: Any, chains: NDArray[Any] | None = None) -> Decoded:
        """Return all as it is."""
        return Decoded(probability, uncertainty, chains)
