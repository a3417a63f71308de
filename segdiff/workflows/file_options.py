"""What a prediction of files may be told."""

from __future__ import annotations

from dataclasses import dataclass, replace

from segdiff.data.stored import ReadOptions
from segdiff.errors import ConfigError
from segdiff.inference.options import PredictOptions
from segdiff.inference.protocol import Predictor
from segdiff.workflows.outputs import DEFAULT_OUTPUTS, check_outputs, measures_objects
from segdiff.workflows.parts import Part
from segdiff.workflows.sampled import SampleOutputs


@dataclass(frozen=True)
class PredictFilesOptions:
    """What a prediction of files may be told.

    Args:
        prediction: of each image. Its `keep_chains` is decided by the outputs.
        read: which picture and channel of a file are meant, and which values are black and white.
        outputs: which files each image gives, names of `segdiff.workflows.outputs.OUTPUTS`.
        objects_mpp: micrometres per pixel for measurements of objects; None: `prediction.mpp`, or what the image's file
            states.
        region: of each image, "x,y,w,h" in its pixels or the path of an annotation file; None: all of it.
        tissue: find the tissue of whole slides, and predict nothing else of them.
        recursive: of folders take the images in subfolders too; results lie in subfolders of the same names.
        overwrite: replace outputs that exist; inputs are never replaced.
        resume: go on with a run of the same settings in this folder: images that its record says are done, whose
            files exist, and that have not changed since, are left as they are.
        part: predict a share of the images only; its record is prediction_2of4.json, say.
        samples: so many whole masks of single chains, chosen to differ, and how far all agree
            (`segdiff.workflows.sampled`); 0: none.
    Raises:
        ConfigError: an output that is not known, or micrometres that cannot be.
    """

    prediction: PredictOptions = PredictOptions()
    read: ReadOptions = ReadOptions()
    outputs: tuple[str, ...] = DEFAULT_OUTPUTS
    objects_mpp: float | None = None
    region: str | None = None
    tissue: bool = True
    recursive: bool = False
    overwrite: bool = False
    resume: bool = False
    part: Part = Part()
    samples: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "outputs", check_outputs(self.outputs))
        SampleOutputs(self.samples)
        if self.objects_mpp is not None and not 0 < self.objects_mpp < float("inf"):
            raise ConfigError(f"objects_mpp={self.objects_mpp}: it must be a positive number")

    @property
    def measures(self) -> bool:
        """Whether single objects are told of."""
        return measures_objects(self.outputs)

    def for_model(self, predictor: Predictor) -> PredictFilesOptions:
        """Return these options with micrometres where they are of use: for the scale, for measurements, or both."""
        prediction = SampleOutputs(self.samples).asked(self.prediction, predictor)
        if not self.measures:
            return replace(self, prediction=prediction, objects_mpp=None)
        mpp = prediction.mpp
        if predictor.known_mpp is None:
            prediction = replace(prediction, mpp=None)
        return replace(self, prediction=prediction, objects_mpp=mpp if self.objects_mpp is None else self.objects_mpp)
