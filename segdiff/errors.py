"""The errors of segdiff, one tree.

    SegdiffError                 root: `except SegdiffError` catches all of ours
      UserError                  a user's mistake: one line that says what to do; the commands exit with 2
        ConfigError  (ValueError)         a setting that cannot be, or two that contradict each other
        ShapeError   (ValueError)         an array or tensor of the wrong shape
        DataError    (ValueError)         a file that is there but cannot be used
        MissingError (FileNotFoundError)  a file, folder or name that is not there
        ArtifactError (ValueError)        a model folder that is refused
      TrainingError              training cannot go on (a loss that is not finite)

Those with a builtin in brackets are also that builtin, so that callers catch what they expect.
"""


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


class TrainingError(SegdiffError):
    """Training that cannot go on."""
