"""A process that decodes the files of one job, and what the worker says to it."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rvm_client.closing import Closing
from rvm_client.config import Settings, process_environment
from rvm_client.errors import ConfigError, InputError, StoppedError
from rvm_client.isolated.channel import ClosedError, WorkerEnd, connection
from rvm_client.isolated.messages import AnyReply, Begin, Confined, Failed, Ready, Request

# How often a wait looks whether the job was cancelled.
_POLL_S = 0.05
# The end of a process is known a little after its connections break.
_MOMENT_S = 2.0
# What the process gets of the environment: what libraries need to be found and to start.
_ALLOWED_NAMES = ("LANG", "LD_LIBRARY_PATH", "LD_PRELOAD")
_ALLOWED_PREFIXES = ("CUDA_", "LC_", "MALLOC_", "NVIDIA_")
# What an import starts must not be outside of what is given up after it.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
# Pictures come and go: memory that is given back and taken anew with each costs a fifth more.
_KEEP_BLOCKS = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(128 * 2**20),
}
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

R = TypeVar("R", bound=AnyReply)


@dataclass(frozen=True)
class DecoderLimits:
    """What the process of one job may use."""

    memory_bytes: int
    cpu_seconds: int
    timeout_s: float
    """For each of its answers, such as the next chunk of frames."""

    @classmethod
    def configured(cls, settings: Settings) -> "DecoderLimits":
        """As the environment says."""
        return cls(
            settings.decoder_memory_bytes,
            settings.decoder_cpu_seconds,
            settings.decoder_timeout_s,
        )


class DecoderProcess(Closing):
    """One process, for one job. Whatever happens to it is an InputError of that job.

    It dies with the thread that makes it, which is best one that lives as long as the worker.

    Args:
        limits: what it may use.
        uses_gpu: whether it is to have what NVDEC needs.

    Raises:
        ConfigError: it does not start.
    """

    def __init__(self, limits: DecoderLimits, *, uses_gpu: bool) -> None:
        self.limits = limits
        self._cancelled = threading.Event()
        ours, theirs = connection()
        self._first = WorkerEnd(ours, _POLL_S)
        with theirs:
            self._process = _start(theirs.fileno(), limits, uses_gpu=uses_gpu)
        try:
            ready = Conversation(self, self._first, "its first job").receive(Ready)
        except InputError as exc:
            self.close()
            raise ConfigError(f"the process that decodes videos does not start: {exc}") from exc
        self.refuses_calls = ready.refuses_calls
        """Whether the kernel keeps it from sockets, new processes and the like."""
        self.sees_only_the_folder = False
        """Whether the kernel keeps it from all files but those of the job."""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it can be given a job."""
        return self._process.poll() is None

    def begin(self, folder: Path, cancelled: threading.Event) -> None:
        """Give it its job, whose files are in `folder`. All waits end when `cancelled` is set.

        Raises:
            InputError: it is gone.
        """
        self._cancelled = cancelled
        first = Conversation(self, self._first, str(folder))
        first.send(Begin(folder))
        self.sees_only_the_folder = first.receive(Confined).sees_only_the_folder

    def open(self, path: Path, request: Request, descriptors: Sequence[int] = ()) -> "Conversation":
        """A conversation about a file."""
        ours, theirs = connection()
        with theirs:
            first = Conversation(self, self._first, str(path))
            first.send(request, [theirs.fileno(), *descriptors])
        return Conversation(self, WorkerEnd(ours, _POLL_S), str(path))

    def close(self) -> None:
        """End it, at once."""
        self._process.kill()
        self._process.wait()
        self._first.close()

    def check_cancelled(self) -> None:
        """End it where the job was cancelled.

        Raises:
            StoppedError: it was.
        """
        if self._cancelled.is_set():
            self._process.kill()
            raise StoppedError("the work was cancelled")

    def hung(self, name: str) -> InputError:
        """What is to be said after a wait that was too long."""
        self._process.kill()
        return InputError(
            f"the decoder did not get on with {name} for {self.limits.timeout_s:g} s "
            "(RVM_DECODER_TIMEOUT_S) and was ended; convert the file anew"
        )

    def failed(self, name: str, failure: Failed) -> InputError:
        """What is to be said of a failure that it told."""
        if failure.cause == "memory":
            return InputError(
                f"{name} takes more than {self.limits.memory_bytes} bytes of memory to decode "
                "(RVM_DECODER_MEMORY_BYTES); scale it down, or convert it anew"
            )
        if failure.cause == "internal":
            return InputError(f"{name} cannot be decoded: {printable(failure.text)} in the decoder")
        return InputError(printable(failure.text))

    def ended(self, name: str) -> InputError:
        """What is to be said after its end, or after an answer that makes no sense."""
        try:
            status = self._process.wait(_MOMENT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return InputError(f"the decoder of {name} answered nonsense and was ended")
        if status == -signal.SIGXCPU:
            return InputError(
                f"{name} takes more than {self.limits.cpu_seconds} s of processor time to decode "
                "(RVM_DECODER_CPU_SECONDS); cut it into parts"
            )
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"exited ({status})"
        return InputError(
            f"the decoder {how} over {name}; the file is damaged, or made to do this: convert it"
            " anew"
        )


class Conversation(Closing):
    """What is said about one file, over a connection of its own."""

    def __init__(self, process: DecoderProcess, end: WorkerEnd, name: str) -> None:
        self._process, self._end, self._name = process, end, name

    def send(self, request: Request, descriptors: Sequence[int] = ()) -> None:
        """Ask for something. Whether somebody is there to hear it, shows when we receive."""
        # The last answers may be waiting for us.
        with suppress(ClosedError):
            self._end.send(request, descriptors)

    def receive(self, *kinds: type[R]) -> R:
        """The next answer, which has to be of one of these kinds. A failure that is none of them is
        raised.

        Raises:
            InputError: the file cannot be decoded; or the process is gone, answers nothing in
                time, or nonsense.
            StoppedError: the job was cancelled.
        """
        deadline_s = time.monotonic() + self._process.limits.timeout_s
        try:
            while (reply := self._end.receive()) is None:
                self._process.check_cancelled()
                if time.monotonic() > deadline_s:
                    raise self._process.hung(self._name)
        except (ClosedError, ValueError, RecursionError) as exc:
            raise self._process.ended(self._name) from exc
        if isinstance(reply, kinds):
            return reply
        if isinstance(reply, Failed):
            raise self.failure(reply)
        raise self.nonsense()

    def failure(self, failure: Failed) -> InputError:
        """What is to be said of a failure that the process told."""
        return self._process.failed(self._name, failure)

    def nonsense(self) -> InputError:
        """What is to be said after an answer that makes no sense."""
        return self._process.ended(self._name)

    def close(self) -> None:
        """Say no more."""
        self._end.close()


def printable(text: str) -> str:
    """One line, whatever came."""
    return _UNPRINTABLE.sub(" ", text)


def _start(descriptor: int, limits: DecoderLimits, *, uses_gpu: bool) -> "subprocess.Popen[bytes]":
    numbers = (descriptor, os.getpid(), limits.memory_bytes, limits.cpu_seconds, int(uses_gpu))
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "rvm_client.isolated.child", *map(str, numbers)],
            env=_environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[descriptor],
            # Ctrl-C is for the worker.
            start_new_session=True,
        )
    except OSError as exc:
        raise ConfigError(f"no process to decode videos can be started: {exc.strerror}") from exc


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in process_environment().items()
        if name in _ALLOWED_NAMES or name.startswith(_ALLOWED_PREFIXES)
    }
    # It finds the packages where we do; relative folders are ours.
    folders = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry)
    python = {"PYTHONPATH": folders, "PYTHONDONTWRITEBYTECODE": "1"}
    return _KEEP_BLOCKS | kept | _ONE_THREAD | python
