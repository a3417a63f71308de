"""Several models as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdiff.diffusion.sampling import Sampling
from segdiff.errors import ConfigError
from segdiff.inference.blend import STRIP
from segdiff.inference.layers import Allocate
from segdiff.inference.looks import NO_OBJECT
from segdiff.inference.options import ConformalSettings, PredictOptions, check_confidence, confidence_at, conformal_at
from segdiff.inference.prediction import Prediction
from segdiff.inference.protocol import Predictor, SingleModel
from segdiff.inference.run import Progress
from segdiff.inference.temperature import check_temperature, temper, temper_threshold
from segdiff.settings import changed, plain
from segdiff.targets.base import Target


class Ensemble:
    """Predicts with each of its members, as each was made to, and averages: every member counts alike.

    The uncertainty is that of all chains of all members, before any temperature: the spread within a member and the
    spread between them. A deep ensemble (Lakshminarayanan et al. 2017, arXiv:1612.01474) is one of plain networks.
    It is a `segdiff.inference.protocol.Predictor`, as each of its members is.

    Args:
        members: two or more, of the same image and mask channels. Scale and windows are each member's own.
        identity: of an ensemble that has a name; else it is the members'.
        temperature: of what the members say together, as it was fitted to that; None: of each its own.
        threshold: likewise; None: the mean of theirs.
        conformal: likewise of area and count; None: no intervals, since those of the members are not of their mean.
        confidence: likewise, coefficients of the confidence in objects (`segdiff.inference.confidence`).
    Raises:
        ConfigError: fewer than two, or members that do not go together.
    """

    def __init__(
        self,
        members: Sequence[Predictor],
        identity: str | None = None,
        temperature: float | None = None,
        threshold: float | None = None,
        conformal: ConformalSettings | None = None,
        confidence: Sequence[float] | None = None,
    ) -> None:
        self.members = list(members)
        _check_members(self.members)
        first = self.members[0]
        self.identity = identity or " + ".join(member.identity for member in members)
        self.temperature = None if temperature is None else check_temperature(temperature)
        if threshold is None:
            threshold = float(np.mean([member.inference.threshold for member in members]))
        known = first.inference.temperature if temperature is None else temperature
        self.inference = replace(
            first.inference,
            threshold=threshold,
            temperature=known,
            conformal=conformal or ConformalSettings(),
            confidence=check_confidence(confidence),
        )

    @property
    def identities(self) -> list[str]:
        """Those of all single models in it."""
        return [identity for member in self.members for identity in member.identities]

    @property
    def sampling(self) -> Sampling:
        """How the first member runs its chains; each runs its own."""
        return self.members[0].sampling

    @property
    def image_channels(self) -> int:
        """C of the images that its members see."""
        return self.members[0].image_channels

    @property
    def mask_channels(self) -> int:
        """M of what they give."""
        return self.members[0].mask_channels

    @property
    def target(self) -> Target:
        """What they predict."""
        return self.members[0].target

    @property
    def known_mpp(self) -> float | None:
        """That of the first member that knows its own: members that do not refuse micrometres."""
        return next((m.known_mpp for m in self.members if m.known_mpp is not None), None)

    @property
    def takes_mpp(self) -> bool:
        """Whether micrometres per pixel of an image decide how every member sees it."""
        return all(member.takes_mpp for member in self.members)

    def check(self, options: PredictOptions | None = None) -> None:
        """Raise ConfigError where a member cannot sample so. None: as each does by itself."""
        for member in self.members:
            member.check(options)

    def scale_factor(self, options: PredictOptions) -> float:
        """The factor from an image's grid to that of the first member; ConfigError as of any."""
        return [member.scale_factor(options) for member in self.members][0]

    def kept_maps(self, options: PredictOptions) -> int:
        """How many maps of an image's size `keep_chains` keeps, of all members."""
        return sum(member.kept_maps(options) for member in self.members)

    def machine(self) -> dict[str, Any]:
        """Where and how the first member's network runs, as plain values, for records."""
        return self.members[0].machine()

    def threshold_at(self, temperature: float | None) -> float:
        """The threshold at another temperature that gives the same mask; None: its own.

        Of members that have their own temperatures, the mean of theirs before any.
        """
        if temperature is None:
            return self.inference.threshold
        raw = [member.threshold_at(1.0) for member in self.members]
        if self.temperature is not None:
            raw = [temper_threshold(self.inference.threshold, 1 / self.temperature)]
        return temper_threshold(float(np.mean(raw)), check_temperature(temperature))

    def describe(self, options: PredictOptions | None = None) -> dict[str, Any]:
        """What determines its results under these options, with its members, as plain values, for records."""
        options = options or PredictOptions()
        threshold = self.threshold_at(options.temperature) if options.threshold is None else options.threshold
        temperature = self.inference.temperature if options.temperature is None else options.temperature
        given = options
        if options.temperature is not None:  # one threshold then, as of all members together
            given = replace(options, threshold=threshold)
        return {
            "model": self.identity,
            "sampling": plain(options.sampling_of(self.sampling)),
            "inference": plain(replace(self.inference, threshold=threshold, temperature=temperature)),
            "members": [member.describe(given) for member in self.members],
        }

    def predict(
        self,
        array: Any,
        options: PredictOptions | None = None,
        *,
        progress: Progress | None = None,
        allocate: Allocate | None = None,
        **changes: Any,
    ) -> Prediction:
        """Predict one image with each member, each with its own sampling unless the options say otherwise.

        Arguments and errors as of `segdiff.inference.predictor.ModelPredictor.predict`. A temperature that is given,
        or the ensemble's own, is of the members' mean.
        """
        options = changed(options or PredictOptions(), changes)
        asked, mean = self._asked(options), _Mean(len(self.members))
        for number, member in enumerate(self.members):

            def report(done: int, total: int, number: int = number) -> None:
                if progress is not None:
                    progress(number * total + done, len(self.members) * total)

            mean.add(member.predict(array, asked, progress=report, allocate=allocate))
        return self._finished(mean, options)

    def models(self, options: PredictOptions) -> Sequence[tuple[SingleModel, PredictOptions]]:
        """Return the single models in it, and what each is told for `joined`."""
        asked = self._asked(options)
        return [one for member in self.members for one in member.models(asked)]

    def joined(self, predictions: Sequence[Prediction], options: PredictOptions) -> Prediction:
        """Return what it says where the single models, in the order of `models`, say `predictions`, of any part."""
        asked, mean, first = self._asked(options), _Mean(len(self.members)), 0
        for member in self.members:
            count = len(member.models(asked))
            mean.add(member.joined(predictions[first : first + count], asked))
            first += count
        return self._finished(mean, options)

    def _pooled(self, options: PredictOptions) -> tuple[float | None, float | None]:
        """The temperature of the members' mean and the threshold at it; None: each member's own, the mean of theirs."""
        pooled = self.temperature if options.temperature is None else options.temperature
        if pooled is not None and options.threshold is None:
            return pooled, self.threshold_at(options.temperature)
        return pooled, options.threshold

    def _asked(self, options: PredictOptions) -> PredictOptions:
        """What each member is told."""
        pooled, threshold = self._pooled(options)
        asked = replace(options, keep_raw=True)
        if pooled is None or threshold is None:
            return asked
        return replace(asked, threshold=temper_threshold(threshold, 1 / pooled), temperature=1.0)

    def _finished(self, mean: _Mean, options: PredictOptions) -> Prediction:
        pooled, threshold = self._pooled(options)
        threshold = self.inference.threshold if threshold is None else threshold
        known = self.inference.temperature if pooled is None else pooled
        found = mean.finish(pooled, threshold)
        return replace(
            found,
            model=self.identity,
            raw_probability=found.raw_probability if options.keep_raw else None,
            class_name=self.inference.class_name,
            conformal=conformal_at(self.inference, threshold, known),
            confidence_coefficients=confidence_at(self.inference, known),
        )


class _Mean:
    """Adds up the predictions of members, each of which counts alike.

    Args:
        count: how many there will be.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.last: Prediction | None = None
        self.first = np.zeros(0, dtype=np.float32)
        self.sums: list[NDArray[np.float32]] = []  # probability and raw probability
        self.shifts: list[NDArray[np.float64]] = []  # sums of differences to the first member, and of squares
        self.chains: list[NDArray[np.float32]] = []
        self.core_chains: list[NDArray[np.float32]] = []
        self.core: NDArray[np.float32] | None = None
        self.remarks: list[str] = []
        self.chain_threshold = 0.0

    def add(self, said: Prediction) -> None:
        """Add a member's prediction, its raw probability kept."""
        raw = said.raw_probability
        assert raw is not None
        if self.last is None:
            self.first = raw
            self.sums = [np.zeros_like(raw), np.zeros_like(raw)]
            self.shifts = [np.zeros(raw.shape), np.zeros(raw.shape)]
        for rows in _strips(raw):
            spread = 0.0 if said.uncertainty is None else said.uncertainty[rows].astype(np.float64) ** 2
            shift = raw[rows].astype(np.float64) - self.first[rows]
            self.sums[0][rows] += said.probability[rows] / self.count
            self.sums[1][rows] += raw[rows] / self.count
            self.shifts[0][rows] += shift / self.count
            self.shifts[1][rows] += (shift**2 + spread) / self.count
        if said.core is not None:
            share = (said.core / self.count).astype(np.float32)
            self.core = share if self.core is None else self.core + share
        if said.chains is not None:
            self.chains.append(said.chains)
        if said.core_chains is not None:
            self.core_chains.append(said.core_chains)
        self.remarks += [one for one in said.remarks if one not in self.remarks]
        self.chain_threshold += said.chain_threshold / self.count
        self.last = said

    def finish(self, temperature: float | None, threshold: float) -> Prediction:
        """The mean of all members.

        temperature: of the mean of the raw probabilities; None: the mean of what each says at its own.
        """
        assert self.last is not None
        probability, raw = self.sums
        if temperature is not None:
            for rows in _strips(probability):
                probability[rows] = temper(raw[rows], temperature)
        remarks = self.remarks
        if (probability > threshold).any():  # what one member misses another may have found
            remarks = [one for one in remarks if one != NO_OBJECT]
        return replace(
            self.last,
            probability=probability,
            raw_probability=raw,
            uncertainty=np.sqrt(np.maximum(self.shifts[1] - self.shifts[0] ** 2, 0)).astype(np.float32),
            threshold=threshold,
            chains=np.concatenate(self.chains) if self.chains else None,
            core=self.core,
            core_chains=np.concatenate(self.core_chains) if self.core_chains else None,
            chain_threshold=self.chain_threshold,
            remarks=tuple(remarks),
        )


def _strips(array: NDArray[Any]) -> list[tuple[Any, ...]]:
    """Slices of rows that cover an array (..., H, W)."""
    return [(..., slice(row, row + STRIP), slice(None)) for row in range(0, array.shape[-2], STRIP)]


def _check_members(members: Sequence[Predictor]) -> None:
    """ConfigError unless they are two or more, each another model, that see and say the same."""
    if len(members) < 2:
        raise ConfigError("an ensemble needs two models or more")
    first = members[0]
    hashes = [one.rpartition("@")[2] for member in members for one in member.identities if "@" in one]
    if len(set(hashes)) < len(hashes):
        raise ConfigError("a model is given twice: an ensemble of one and the same is no ensemble")
    for member in members[1:]:
        for name in ("image_channels", "mask_channels"):
            mine, theirs = getattr(first, name), getattr(member, name)
            if mine != theirs:
                raise ConfigError(f"{first.identity} has {name} {mine}, {member.identity} {theirs}")
        if first.target != member.target:
            raise ConfigError(f"{first.identity} and {member.identity} predict other targets")
