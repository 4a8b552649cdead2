"""Every error that the export raises on purpose.

    ExportError
      DifferenceError    two versions differ by more than is allowed
      UsageError         an option that cannot be accepted
        DatasetError       a folder of frames that cannot be measured against
      TransferError      a file cannot be fetched; whoever wanted it says what for
      WeightsError       the weights cannot be used
        SourceError        a place to fetch them from failed
      VerificationError  the exported model does not compute what it must
      RepositoryError    the model repository cannot be read or written
        ArchiveError       a version that came in one file cannot be used or fetched
      RolloutError       a server does not take a version

A message is one sentence that names the value and the likely fix.
"""

# PyTorch's and ONNX Runtime's own words may be pages.
_MOST_CHARACTERS = 400


def in_one_line(exc: Exception) -> str:
    """What a library says, as the end of a sentence."""
    return " ".join(str(exc).split())[:_MOST_CHARACTERS]


class ExportError(Exception):
    """Base of all errors with a message for the user. `exit_code` is the command's."""

    exit_code = 1


class DifferenceError(ExportError):
    """Two versions differ by more than is allowed."""

    # As `diff` and `cmp` have it.
    exit_code = 1


class UsageError(ExportError):
    """An option that cannot be accepted."""

    exit_code = 2


class DatasetError(UsageError):
    """A folder of frames with true alpha that is not as it must be."""


class TransferError(ExportError):
    """A file cannot be fetched."""


class WeightsError(ExportError):
    """The weights cannot be used."""

    exit_code = 3


class SourceError(WeightsError):
    """A place to fetch weights from did not deliver them."""


class VerificationError(ExportError):
    """The exported model does not compute what it must."""

    exit_code = 4


class RepositoryError(ExportError):
    """The model repository cannot be read or written."""

    exit_code = 5


class ArchiveError(RepositoryError):
    """A version that came in one file cannot be used, or fetched."""


class RolloutError(ExportError):
    """A server does not take a version; what it served before, it serves on."""

    exit_code = 6
