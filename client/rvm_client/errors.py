"""Every error that the client raises on purpose.

    RvmError
      UsageError         an option or a job field that cannot be accepted
      ConfigError        the environment or the installation
      InputError         the source video: missing, not a video, beyond a limit
        DownloadError    it could not be fetched
      ServerError        the Triton server
        ServerStartError        it did not come up
          BucketError             its model repository in a bucket cannot be had
            BucketChangedError      it changed while it was read
        ServerLostError         it does no more requests; another one, or a new one, may
          ServerUnreachableError  nothing answers at its address
          ServerSilentError       it did not answer in time
          ModelProcessError       the process that runs its model has died
          GpuLostError            its GPU failed, and fails all later requests
        ServerBusyError         it has as many requests as it takes
        AccessError             it lets this client not in
        NotServedError          it has no such model, or not that version of it
        InferenceError          it refused or failed a request
          GpuMemoryError          the GPU's memory ran out; fewer frames may fit
      EndpointError      a RunPod endpoint that jobs are posted to
        JobError         a job on it failed
      OutputError        the result could not be encoded or written
        HardwareEncoderError  an encoder on a GPU gave up; one in software may do it
        JoinError             segments do not fit together; in one piece it may be done
        LayersDifferError     colour and alpha were not encoded alike
        UploadError      it could not be stored
      OutOfMemoryError  the memory of this machine ran out
      StoppedError     somebody asked to stop
      OverdueError     it took longer than it may

A message is one sentence that names the value and the likely fix. It is shown to users as
it is, so it never carries a secret, nor a character that a terminal would obey.
"""

_LONGEST_MESSAGE_CHARACTERS = 2000


def printable(text: str) -> str:
    """Text of any origin for a message or a log: one line, cut short, escapes for what is no print.

    Control characters, line ends, marks of writing direction and halves of surrogate pairs are
    written as in a Python string.
    """
    shown = text[:_LONGEST_MESSAGE_CHARACTERS]
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


class RvmError(Exception):
    """Base of all errors with a message for the user. `exit_code` is the command's."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        # Names, reasons and logs of others are in many of them.
        super().__init__(printable(message))


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


class BucketError(ServerStartError):
    """The bucket with the model repository cannot be read, or not be written."""


class BucketChangedError(BucketError):
    """What was listed in the bucket is there no more, or is something else; list it again."""


class ServerLostError(ServerError):
    """The Triton server does no more requests; another one, or the same started anew, may."""


class ServerUnreachableError(ServerLostError):
    """No Triton server answers at the address."""


class ServerSilentError(ServerLostError):
    """The Triton server did not answer in time."""


class ModelProcessError(ServerLostError):
    """The process that runs the model for the Triton server has died."""


class GpuLostError(ServerLostError):
    """The server's GPU failed, and fails every later request of this server's process."""


class ServerBusyError(ServerError):
    """The Triton server has as many requests as it takes; `retry_after_s` is how long to wait."""

    def __init__(self, message: str = "", *, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class AccessError(ServerError):
    """The Triton server wants a token or another one, or its certificate is not trusted."""


class NotServedError(ServerError):
    """The Triton server has no such model, or no more of the version that a video began with."""


class InferenceError(ServerError):
    """The Triton server refused or failed an inference request."""


class GpuMemoryError(InferenceError):
    """The memory of the server's GPU ran out; a request of fewer frames may fit."""


class EndpointError(RvmError):
    """A RunPod endpoint does not do what was asked."""

    exit_code = 4


class JobError(EndpointError):
    """A job on a RunPod endpoint failed, or was lost too often."""


class OutputError(RvmError):
    """The result could not be encoded or written."""

    exit_code = 5


class HardwareEncoderError(OutputError):
    """An encoder on a GPU failed on the way; the same work may be done in software."""


class JoinError(OutputError):
    """Segments do not fit together; the same work may be done in one piece."""


class LayersDifferError(OutputError):
    """Two encoders do not agree, so that their streams cannot be layers of one."""


class UploadError(OutputError):
    """The result could not be stored."""


class OutOfMemoryError(RvmError):
    """The memory of this machine, or what this process may take of it, ran out."""

    exit_code = 6


class StoppedError(RvmError):
    """The work was stopped before it was done."""

    exit_code = 130


class OverdueError(RvmError):
    """The work took longer than it may."""
