"""The errors of segdiff, one tree.

    SegdiffError                 root: `except SegdiffError` catches all of ours
      UserError                  a user's mistake: one line that says what to do; the commands exit with 2
        ConfigError  (ValueError)         a setting that cannot be, or two that contradict each other
        ShapeError   (ValueError)         an array or tensor of the wrong shape
        DataError    (ValueError)         a file that is there but cannot be used
        MissingError (FileNotFoundError)  a file, folder or name that is not there
        ArtifactError (ValueError)        a model folder that is refused
        OutputError  (OSError)            a result that cannot be written
      TrainingError              training cannot go on (a loss that is not finite)

Those with a builtin in brackets are also that builtin, so that callers catch what they expect.
"""

import errno
from pathlib import Path

REMEDIES = {
    errno.ENOSPC: "free some space, then give the same command again",
    errno.EDQUOT: "free some space, then give the same command again",
    errno.EFBIG: "write to a disk that takes larger files",
    errno.EACCES: "choose a place that you may write to",
    errno.EPERM: "choose a place that you may write to",
    errno.EROFS: "choose a place that you may write to",
}


class SegdiffError(Exception):
    """Root of all errors that segdiff raises on purpose."""


class UserError(SegdiffError):
    """A mistake that the user can mend; its message is one line."""


class ConfigError(UserError, ValueError):
    """A setting that cannot be."""


class ShapeError(UserError, ValueError):
    """An array or tensor of the wrong shape."""


class DataError(UserError, ValueError):
    """A file that exists but cannot be used."""


class MissingError(UserError, FileNotFoundError):
    """A file, folder or name that does not exist."""


class ArtifactError(UserError, ValueError):
    """A model folder that is refused."""


class OutputError(UserError, OSError):
    """A result that cannot be written: no space, no permission."""

    @classmethod
    def of(cls, path: str | Path, error: OSError) -> "OutputError":
        """What the system said about writing `path`, and what can be done about it."""
        remedy = REMEDIES.get(error.errno or 0)
        return cls(f"{path} cannot be written: {error.strerror or error}" + (f"; {remedy}" if remedy else ""))


class TrainingError(SegdiffError):
    """Training that cannot go on."""
