"""Whole masks of single chains as files: some that differ, a map of how far all agree, and an interval of the area."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segdiff.data.writers import write_float_tiff, write_mask
from segdiff.errors import ConfigError
from segdiff.inference.options import PredictOptions
from segdiff.inference.prediction import Prediction
from segdiff.inference.protocol import Predictor
from segdiff.inference.representatives import representatives
from segdiff.metrics.mask_numbers import CHAIN
from segdiff.metrics.pairwise import pairwise_similarity
from segdiff.metrics.predictive import LEVEL, least_samples, nominal_coverage, sample_interval

MOST_SAMPLES = 64
CHAINS_OF_EACH = 4  # chains that are run for each mask that is written, unless their number is given


@dataclass(frozen=True)
class SampleOutputs:
    """How many whole masks each image gives, none by default.

    Raises:
        ConfigError: more than `MOST_SAMPLES`, or a negative number.
    """

    count: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.count <= MOST_SAMPLES:
            raise ConfigError(f"samples={self.count}: 1 to {MOST_SAMPLES} masks are possible")

    def asked(self, options: PredictOptions, predictor: Predictor) -> PredictOptions:
        """Return the options with enough chains to choose of, and for a 90 % interval, where none were given.

        Raises:
            ConfigError: fewer chains were given than masks are wanted.
        """
        if not self.count:
            return options
        chains = options.sampling_of(predictor.sampling).chains
        if options.chains is None and options.sampling is None:
            return replace(options, chains=max(chains, CHAINS_OF_EACH * self.count, least_samples(LEVEL)))
        if chains < self.count:
            raise ConfigError(f"{self.count} masks cannot be chosen of {chains} chain(s): give --chains more")
        return options

    def paths(self, folder: Path, stem: str) -> dict[str, Path]:
        """List all files that are written for a stem, by name."""
        if not self.count:
            return {}
        masks = {f"sample_{k}": folder / f"{stem}_sample_{k}.png" for k in range(1, self.count + 1)}
        return {**masks, "agreement": folder / f"{stem}_agreement.tif"}

    def further(self, folder: Path, stem: str) -> list[str]:
        """List the names of the masks of a stem that are written where more of them are asked for."""
        return [f"{stem}_sample_{k}.png" for k in range(self.count + 1, MOST_SAMPLES + 1)] if self.count else []

    def save(
        self, prediction: Prediction, folder: Path, stem: str, overwrite: bool = False
    ) -> tuple[dict[str, Path], dict[str, Any]]:
        """Write the masks and the map.

        Args:
            prediction: with its chains kept.
            folder, stem: as of `segdiff.workflows.outputs.save_prediction`.
            overwrite: replace files of these names.
        Returns:
            The files by name; and "chains" (how many were drawn), "shares" (of all, that each mask stands for) and
            "area": its "values" of the written masks in pixels, and "low", "high" and "nominal" of an interval of all.
            Nothing where no masks are wanted.
        Raises:
            ConfigError: a model that gives a single mask, or a file exists already and `overwrite` is not set.
        """
        if not self.count:
            return {}, {}
        prediction.single_mask()
        if prediction.chains is None or len(prediction.chains) < 2:
            raise ConfigError(f"{prediction.model} gives a single mask: samples need a model with chains, two or more")
        paths = self.paths(folder, stem)
        if not overwrite and (there := [path for path in paths.values() if path.exists()]):
            raise ConfigError(f"{there[0]} exists; choose another folder or overwrite")
        masks = prediction.chains > CHAIN
        chosen, shares = representatives(1 - pairwise_similarity(masks, masks, "iou"), self.count)
        for path, number in zip(paths.values(), chosen, strict=False):  # the map follows the masks
            write_mask(path, masks[number])
        write_float_tiff(paths["agreement"], masks.mean(axis=0))
        areas = masks.sum(axis=(1, 2)).astype(float)
        level = LEVEL if len(areas) >= least_samples(LEVEL) else None
        low, high = sample_interval(areas, level)
        area = {"values": [float(areas[k]) for k in chosen], "low": low, "high": high}
        nominal = round(nominal_coverage(len(areas), level), 4)
        return paths, {"chains": len(areas), "shares": shares, "area": {**area, "nominal": nominal}}


def in_words(samples: Mapping[str, Any]) -> str:
    """Say what `SampleOutputs.save` found: "3 masks stand for 50, 31 and 19 % of 32 samples; 90 % of areas ..."."""
    shares = ", ".join(f"{100 * share:.0f}" for share in samples["shares"])
    area = samples["area"]
    return (
        f"{len(samples['shares'])} masks stand for {shares} % of {samples['chains']} samples; "
        f"{100 * area['nominal']:.0f} % of their areas lie between {area['low']:.0f} and {area['high']:.0f} px"
    )
