"""Every error that the client raises on purpose.

    RvmError
      UsageError         an option or a job field that cannot be accepted
      ConfigError        the environment or the installation
      InputError         the source video: missing, not a video, beyond a limit
        DownloadError    it could not be fetched
      ServerError        the Triton server
        ServerStartError        it did not come up
        ServerUnreachableError  nothing answers at its address
        InferenceError          it refused or failed a request
          GpuMemoryError          the GPU's memory ran out; fewer frames may fit
          GpuLostError            the GPU failed; this server's later requests fail, too
      OutputError        the result could not be encoded or written
        HardwareEncoderError  an encoder on a GPU gave up; one in software may do it
        UploadError      it could not be stored
      OutOfMemoryError  the memory of this machine ran out
      StoppedError     somebody asked to stop

A message is one sentence that names the value and the likely fix. It is shown to users as
it is, so it never carries a secret.
"""


class RvmError(Exception):
    """Base of all errors with a message for the user. `exit_code` is the command's."""

    exit_code = 1


class UsageError(RvmError):
    """An option or a job field that cannot be accepted."""

    exit_code = 2


class ConfigError(RvmError):
    """A setting or the installation does not allow what was asked."""

    exit_code = 2


class InputError(RvmError):
    """The source video cannot be used."""

    exit_code = 3


class DownloadError(InputError):
    """The source video could not be fetched."""


class ServerError(RvmError):
    """The Triton server does not do what was asked."""

    exit_code = 4


class ServerStartError(ServerError):
    """The Triton server did not start or did not become ready in time."""


class ServerUnreachableError(ServerError):
    """No Triton server answers at the address."""


class InferenceError(ServerError):
    """The Triton server refused or failed an inference request."""


class GpuMemoryError(InferenceError):
    """The memory of the server's GPU ran out; a request of fewer frames may fit."""


class GpuLostError(InferenceError):
    """The server's GPU failed, and fails every later request of this server's process."""


class OutputError(RvmError):
    """The result could not be encoded or written."""

    exit_code = 5


class HardwareEncoderError(OutputError):
    """An encoder on a GPU failed on the way; the same work may be done in software."""


class UploadError(OutputError):
    """The result could not be stored."""


class OutOfMemoryError(RvmError):
    """The memory of this machine, or what this process may take of it, ran out."""

    exit_code = 6


class StoppedError(RvmError):
    """The work was stopped before it was done."""

    exit_code = 130
