"""Several models as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError
from segdiff.inference.blend import STRIP
from segdiff.inference.prediction import Prediction
from segdiff.inference.predictor import Predictor
from segdiff.inference.run import Progress


class Ensemble(Predictor):
    """Predicts with each of its members, as each was made to, and averages: every member counts alike.

    The uncertainty is that of all chains of all members: the spread within a member and the spread between them. A
    deep ensemble (Lakshminarayanan et al. 2017, arXiv:1612.01474) is one of plain networks.

    Args:
        members: two or more, of the same image and mask channels. Scale and windows are each member's own; a threshold
            that is not given is the mean of theirs.
    Raises:
        ConfigError: fewer than two, or members that do not go together.
    """

    def __init__(self, members: Sequence[Predictor]) -> None:
        if len(members) < 2:
            raise ConfigError("an ensemble needs two models or more")
        first = members[0]
        for member in members[1:]:
            for name in ("image_channels", "mask_channels"):
                mine, theirs = getattr(first.segmenter, name), getattr(member.segmenter, name)
                if mine != theirs:
                    raise ConfigError(f"{first.identity} has {name} {mine}, {member.identity} {theirs}")
        self.members = list(members)
        self.device, self.precision, self.segmenter = first.device, first.precision, first.segmenter
        self.runtime = first.runtime
        self.normalisation, self.sampling = first.normalisation, first.sampling
        threshold = float(np.mean([member.inference.threshold for member in members]))
        self.inference = replace(first.inference, threshold=threshold, temperature=1.0)
        known = {member.scale.get("mpp") for member in members}
        self.scale = {"mpp": first.scale.get("mpp") if None not in known else None}
        self.identity = " + ".join(member.identity for member in members)

    def check(self, sampling: Sampling | None = None) -> None:
        """As `Predictor.check`, of every member."""
        for member in self.members:
            member.check(sampling)

    def scale_factor(self, mpp: float | None = None, scale: float | None = None) -> float:
        """As `Predictor.scale_factor`: that of the first member; errors are those of any."""
        return [member.scale_factor(mpp, scale) for member in self.members][0]

    def describe(self) -> dict[str, Any]:
        """The members with their settings, for records."""
        return {**super().describe(), "members": [member.describe() for member in self.members]}

    def predict(  # type: ignore[override]
        self,
        array: Any,
        *,
        threshold: float | None = None,
        keep_chains: bool = False,
        progress: Progress | None = None,
        **settings: Any,
    ) -> Prediction:
        """As `Predictor.predict`, each member with its own sampling unless `sampling` is given."""
        count = len(self.members)
        probability = squares = np.zeros(0, dtype=np.float32)
        chains = []
        last: Prediction | None = None
        for number, member in enumerate(self.members):

            def report(done: int, total: int, number: int = number) -> None:
                if progress is not None:
                    progress(number * total + done, count * total)

            last = member.predict(array, keep_chains=keep_chains, progress=report, **settings)
            mean = last.probability
            if last.chains is not None:
                chains.append(last.chains)
            if number == 0:
                probability, squares = np.zeros_like(mean), np.zeros_like(mean)
            for row in range(0, mean.shape[-2], STRIP):
                rows = (..., slice(row, row + STRIP), slice(None))
                spread = 0.0 if last.uncertainty is None else last.uncertainty[rows] ** 2
                probability[rows] += mean[rows] / count
                squares[rows] += (mean[rows] ** 2 + spread) / count
        assert last is not None
        return replace(
            last,
            probability=probability,
            uncertainty=np.sqrt(np.maximum(squares - probability**2, 0)),
            threshold=self.inference.threshold if threshold is None else threshold,
            model=self.identity,
            chains=np.concatenate(chains) if chains else None,
        )
