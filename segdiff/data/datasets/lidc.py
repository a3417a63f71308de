"""LIDC-IDRI: lung nodules in crops of 128 x 128 of single CT slices, marked by four radiologists.

    root/images/<stem>.png     8-bit grey
    root/masks/<stem>.png      bit i (value 2^i) is set where radiologist i marked nodule; who marked none has none set
    root/index.csv             columns stem, patient, split (train, val or test)

Radiologists are not the same persons across patients, so that their order means nothing. Source: Armato et al. 2011,
Medical Physics 38(2), doi 10.7937/K9/TCIA.2015.LO9QL9SX (CC BY 3.0).
"""

from __future__ import annotations

from pathlib import Path

from segdiff.data.datasets.folder import Folder

RATERS = 4


class Lidc(Folder):
    """A split of such crops.

    Args:
        root: the folder; the module's text shows its layout.
        split: "train", "val", "test" or "all" (train + val).
        fold: None: index.csv says who is in which split. 0..4: all crops are divided into five folds of whole patients,
            "val" is this one, "train" the others, and there is no "test".
        lenient: as of `Folder`.
    Raises:
        As `Folder`.
    """

    kind = "lidc"
    Options = None  # its own arguments are all that it may be told

    def __init__(self, root: str | Path, split: str, *, fold: int | None = None, lenient: bool = False) -> None:
        given = {"fold": fold, "use_split": fold is None}
        super().__init__(root, split, lenient=lenient, bits=RATERS, group="patient", objects="none", **given)
