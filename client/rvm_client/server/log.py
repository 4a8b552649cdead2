"""Turns Triton's log into one sentence that a user can act on."""

import re
import signal
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import TextIO

TAIL_BYTES = 64 * 1024
TAIL_LINES = 3
REASON_LIMIT_CHARACTERS = 400
FOLLOW_INTERVAL_S = 0.2

# The first that is found wins: causes come before what follows from them.
CAUSES = (
    (
        r"error while loading shared libraries: ([^:\s]+):",
        "the shared library {0} is missing; install the package that has it",
    ),
    (
        r"[Ss]ocket '([^']+)' already in use",
        "the address {0} is already in use; choose another port or stop the program that has it",
    ),
    (
        r"(?:No space left on device|[Uu]nable to (?:create|initialize) shared memory key)[^\n]*",
        "the shared memory in /dev/shm is used up; make it larger (docker run --shm-size 1g)",
    ),
    (r"(std::bad_alloc|Cannot allocate memory|DefaultCPUAllocator)", "it ran out of memory ({0})"),
    # LibTorch's words for a file of a newer PyTorch: of its archive, and of what is in it.
    (
        r"Attempted to read a PyTorch file with version (\d+), but the maximum supported version "
        r"for reading is (\d+)",
        "the model file has PyTorch's format {0}, and this server reads up to {1}: a newer PyTorch "
        "has made it; export it again with a PyTorch no newer than the server's",
    ),
    (
        r"Unknown builtin op: ([\w:]+)",
        "the model calls {0}, which this server's PyTorch does not have: most likely a newer one "
        "has made the file; export it again with a PyTorch no newer than the server's",
    ),
    (r"TritonModelException: ([^\n]+)", "{0}"),
    (
        r"failed to load '([^']+)' version (\d+): ([^\n]+)",
        "the model {0}, version {1}, could not be loaded: {2}",
    ),
    (r"unable to find backend library for backend '([^']+)'", "it has no backend named {0}"),
    (r"failed to load model '([^']+)': ([^\n]+)", "the model {0} could not be loaded: {1}"),
    (r"Poll failed for model directory '[^']+': ([^\n]+)", "the model repository is wrong: {0}"),
    (r"error: (creating server: [^\n]+|[^\n]*[Ff]ailed[^\n]+)", "{0}"),
)
NO_CAUSE = "its log names no cause"
# A crash, not a signal that ends it in order. Before it, what C++ says of an exception that nobody
# caught; after it the stack, a line each: where, in which file.
CRASH = re.compile(
    r"(?:what\(\): +([^\n]+)\n)?Signal \((4|6|7|8|11)\) received\.((?:\n *\d+# [^\n]+)*)"
)
FRAME = re.compile(r"^ *\d+# (.+?)(?: in \S*?([^/\s]+))?$", re.MULTILINE)
ERROR_LINE = re.compile(r"^[EF]\d{4} |[Ee]rror|[Ff]ailed|Traceback")
# "I1124 17:26:34.550341 22053 model_lifecycle.cc:472] "loading: rvm_mobilenetv3:1""
LOADING = re.compile(r'^I\d{4} ([\d:.]+) .*"(?:loading: |successfully loaded )', re.MULTILINE)
# What every Triton says on a machine without a GPU.
HARMLESS = re.compile(r"CudaDriverHelper|NVML|DCGM|CUDA driver|pinned system memory")


def read_tail(path: Path) -> str:
    """The end of a log file, at most 64 KiB; empty when there is none."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return log.read().decode(errors="replace")
    except OSError:
        return ""


def explain(log: str) -> str:
    """What went wrong, as the end of a sentence without its full stop."""
    if crashed := CRASH.search(log):
        return shorten(describe_crash(*crashed.groups()))
    for pattern, reason in CAUSES:
        if found := re.search(pattern, log):
            return shorten(reason.format(*found.groups()))
    errors = [line.strip() for line in log.splitlines() if ERROR_LINE.search(line)]
    errors = [line for line in errors if not HARMLESS.search(line)]
    if not errors:
        return NO_CAUSE
    return shorten("its last errors are: " + " | ".join(errors[-TAIL_LINES:]))


def has_crashed(log: str) -> bool:
    """Whether it ended without a reason of its own: it was killed, or there is a fault in it."""
    return CRASH.search(log) is not None or explain(log) == NO_CAUSE


def describe_crash(exception: str | None, number: str, stack: str) -> str:
    """The signal, and where it came from, the innermost function first."""
    said = f" ({exception})" if exception else ""
    # The first two are what wrote this, and what the system called for it.
    frames = [f"{name} ({file})" if file else name for name, file in FRAME.findall(stack)[2:]]
    where = f"; its stack: {' < '.join(frames)}" if frames else ""
    return f"it crashed by {signal.Signals(int(number)).name}{said}{where}"


def shorten(reason: str) -> str:
    """At most 400 characters, without a full stop at the end."""
    return reason[:REASON_LIMIT_CHARACTERS].strip().rstrip(".")


def models_load_seconds(log: str) -> float | None:
    """From the first line about a model's load to the last; None where there are none."""
    times = [datetime.strptime(found, "%H:%M:%S.%f") for found in LOADING.findall(log)]
    if not times:
        return None
    # A day may have ended on the way.
    return ((times[-1] - times[0]) % timedelta(days=1)).total_seconds()


def is_port_conflict(log: str) -> bool:
    """Whether the server failed because another program has one of its ports."""
    return "already in use" in log


class LogFollower:
    """Copies a growing log file to a stream until it is closed."""

    def __init__(self, path: Path, stream: TextIO) -> None:
        self._path = path
        self._stream = stream
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="triton-log", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Copy what is left and end."""
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        with self._path.open(errors="replace") as log:
            while True:
                last_round = self._done.wait(FOLLOW_INTERVAL_S)
                if self._path.stat().st_size < log.tell():
                    log.seek(0)  # It was started anew.
                self._stream.write(log.read())
                self._stream.flush()
                if last_round:
                    return
