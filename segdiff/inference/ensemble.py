"""Several models as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError
from segdiff.inference.blend import STRIP
from segdiff.inference.looks import NO_OBJECT
from segdiff.inference.prediction import Prediction
from segdiff.inference.predictor import Predictor, check_threshold
from segdiff.inference.run import Progress
from segdiff.inference.temperature import check_temperature, temper, temper_threshold


class Ensemble(Predictor):
    """Predicts with each of its members, as each was made to, and averages: every member counts alike.

    The uncertainty is that of all chains of all members, before any temperature: the spread within a member and the
    spread between them. A deep ensemble (Lakshminarayanan et al. 2017, arXiv:1612.01474) is one of plain networks.

    Args:
        members: two or more, of the same image and mask channels. Scale and windows are each member's own.
        identity: of an ensemble that has a name; else it is the members'.
        temperature: of what the members say together, as it was fitted to that; None: of each its own.
        threshold: likewise; None: the mean of theirs.
    Raises:
        ConfigError: fewer than two, or members that do not go together.
    """

    def __init__(
        self,
        members: Sequence[Predictor],
        identity: str | None = None,
        temperature: float | None = None,
        threshold: float | None = None,
    ) -> None:
        if len(members) < 2:
            raise ConfigError("an ensemble needs two models or more")
        first = members[0]
        hashes = [one.identity.rpartition("@")[2] for one in _single(members) if "@" in one.identity]
        if len(set(hashes)) < len(hashes):
            raise ConfigError("a model is given twice: an ensemble of one and the same is no ensemble")
        for member in members[1:]:
            for name in ("image_channels", "mask_channels"):
                mine, theirs = getattr(first.segmenter, name), getattr(member.segmenter, name)
                if mine != theirs:
                    raise ConfigError(f"{first.identity} has {name} {mine}, {member.identity} {theirs}")
            if first.inference.channels != member.inference.channels:
                raise ConfigError(f"{first.identity} and {member.identity} have mask channels of other meanings")
        self.members = list(members)
        self.device, self.precision, self.segmenter = first.device, first.precision, first.segmenter
        self.runtime, self.compiled = first.runtime, first.compiled
        self.normalisation, self.sampling = first.normalisation, first.sampling
        if threshold is None:
            threshold = float(np.mean([member.inference.threshold for member in members]))
        self.temperature = None if temperature is None else check_temperature(temperature)
        known = first.inference.temperature if temperature is None else temperature
        self.inference = replace(first.inference, threshold=threshold, temperature=known)
        scaled = all(m.scale.get("mpp") is not None and m.inference.grid is None for m in members)
        self.scale = {"mpp": first.scale.get("mpp") if scaled else None}
        self.looks = first.looks
        self.identity = identity or " + ".join(member.identity for member in members)

    @property
    def known_mpp(self) -> float | None:
        """That of the first member that knows its own: members that do not refuse micrometres."""
        return next((m.known_mpp for m in self.members if m.known_mpp is not None), None)

    def check(self, sampling: Sampling | None = None) -> None:
        """As `Predictor.check`, of every member."""
        for member in self.members:
            member.check(sampling)

    def scale_factor(
        self, mpp: float | None = None, scale: float | None = None, diameter: float | None = None
    ) -> float:
        """As `Predictor.scale_factor`: that of the first member; errors are those of any."""
        return [member.scale_factor(mpp, scale, diameter) for member in self.members][0]

    def describe(self) -> dict[str, Any]:
        """The members with their settings, for records."""
        return {**super().describe(), "members": [member.describe() for member in self.members]}

    def predict(  # type: ignore[override]
        self,
        array: Any,
        *,
        threshold: float | None = None,
        temperature: float | None = None,
        keep_chains: bool = False,
        keep_raw: bool = False,
        progress: Progress | None = None,
        **settings: Any,
    ) -> Prediction:
        """As `Predictor.predict`, each member with its own sampling unless `sampling` is given.

        A temperature that is given, or the ensemble's own, is of the members' mean.
        """
        count = len(self.members)
        pooled = self.temperature if temperature is None else check_temperature(temperature)
        cut = threshold  # of the members
        if pooled is not None:
            threshold = self.threshold_at(temperature) if threshold is None else check_threshold(threshold)
            cut = temper_threshold(threshold, 1 / pooled)
        found: list[NDArray[np.float32]] = []  # probability and raw probability, sums
        shifts: list[NDArray[np.float64]] = []  # sums of differences to the first member, and of squares
        first = np.zeros(0, dtype=np.float32)
        chains: list[NDArray[np.float32]] = []
        core_chains: list[NDArray[np.float32]] = []
        core: NDArray[np.float32] | None = None
        remarks: list[str] = []
        last: Prediction | None = None
        chain_threshold = 0.0
        for number, member in enumerate(self.members):

            def report(done: int, total: int, number: int = number) -> None:
                if progress is not None:
                    progress(number * total + done, count * total)

            last = member.predict(
                array,
                threshold=cut,
                temperature=None if pooled is None else 1.0,
                keep_chains=keep_chains,
                keep_raw=True,
                progress=report,
                **settings,
            )
            chain_threshold += last.chain_threshold / count
            assert last.raw_probability is not None
            raw = last.raw_probability
            if number == 0:
                first = raw
                found = [np.zeros_like(raw), np.zeros_like(raw)]
                shifts = [np.zeros(raw.shape), np.zeros(raw.shape)]
            for row in range(0, raw.shape[-2], STRIP):
                rows = (..., slice(row, row + STRIP), slice(None))
                spread = 0.0 if last.uncertainty is None else last.uncertainty[rows].astype(np.float64) ** 2
                shift = raw[rows].astype(np.float64) - first[rows]
                found[0][rows] += last.probability[rows] / count
                found[1][rows] += raw[rows] / count
                shifts[0][rows] += shift / count
                shifts[1][rows] += (shift**2 + spread) / count
            if last.core is not None:
                share = (last.core / count).astype(np.float32)
                core = share if core is None else core + share
            if last.chains is not None:
                chains.append(last.chains)
            if last.core_chains is not None:
                core_chains.append(last.core_chains)
            remarks += [one for one in last.remarks if one not in remarks]
        assert last is not None
        threshold = self.inference.threshold if threshold is None else threshold
        if pooled is not None:
            for row in range(0, found[0].shape[-2], STRIP):
                rows = (..., slice(row, row + STRIP), slice(None))
                found[0][rows] = temper(found[1][rows], pooled)
        if (found[0] > threshold).any():  # what one member misses another may have found
            remarks = [one for one in remarks if one != NO_OBJECT]
        return replace(
            last,
            probability=found[0],
            raw_probability=found[1] if keep_raw else None,
            uncertainty=np.sqrt(np.maximum(shifts[1] - shifts[0] ** 2, 0)).astype(np.float32),
            threshold=threshold,
            model=self.identity,
            chains=np.concatenate(chains) if chains else None,
            core=core,
            core_chains=np.concatenate(core_chains) if core_chains else None,
            chain_threshold=chain_threshold,
            remarks=tuple(remarks),
        )

    def threshold_at(self, temperature: float | None) -> float:
        """As `Predictor.threshold_at`; of members that have their own, the mean before any temperature."""
        if temperature is None:
            return self.inference.threshold
        raw = [member.threshold_at(1.0) for member in self.members]
        if self.temperature is not None:
            raw = [temper_threshold(self.inference.threshold, 1 / self.temperature)]
        return temper_threshold(float(np.mean(raw)), check_temperature(temperature))


def _single(members: Sequence[Predictor]) -> Iterator[Predictor]:
    """The members that are no ensembles, and those of the others."""
    for member in members:
        yield from _single(member.members) if isinstance(member, Ensemble) else [member]
