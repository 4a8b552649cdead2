"""What this machine has for one process: cores, a heap, the video engines of an NVIDIA GPU.

NVDEC decodes, NVENC encodes; FFmpeg loads the driver's libraries by itself. Whether an engine can
do what is asked, only opening it tells: data-centre GPUs have no NVENC, others limit the size of
pictures and the number of encoders. So nothing is probed: who opens one is ready for an error,
goes on in software, and says so here.
"""

import contextlib
import ctypes
import errno
import functools
import logging
import math
import mmap
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rvm_client.config import Settings
from rvm_client.errors import OutOfMemoryError, printable

_LOG = logging.getLogger(__name__)

CGROUP_FOLDER = Path("/sys/fs/cgroup")
# The 22nd field of proc(5)'s stat; counted from behind the name, which may have spaces.
_START_FIELD = 22 - 3
# Of glibc's malloc.h.
_M_ARENA_MAX = -8
# Of linux/prctl.h.
_PR_SET_DUMPABLE = 4

# Less than this is hardly any memory: a few pictures of a video in HD.
_SPARE_BYTES = 64 << 20
# What Python says of a thread that cannot start, and the linker of a library that does not fit.
_WANT_OF_MEMORY = (
    "can't start new thread",
    "failed to map segment",
    "cannot allocate memory",
)

# The driver's control device; containers that are given a GPU have it too.
_CONTROL_DEVICE = "nvidiactl"

# What FFmpeg's wrappers of the driver mean by their error codes, where its own words mislead.
_MEANINGS = {
    errno.EPERM: "the libraries of the NVIDIA driver cannot be loaded",
    errno.ENOSYS: "the driver is older than 570, or the GPU cannot do this",
    errno.ENOMEM: "the GPU has no memory left",
}
_REFUSED = "the driver refuses; the GPU may lack this engine, or have no session of it free"


def available_cores(cgroup_folder: Path = CGROUP_FOLDER) -> int:
    """Processor cores that this process may use, by its affinity and its container's quota."""
    return math.ceil(max(1, min(len(os.sched_getaffinity(0)), cpu_quota(cgroup_folder))))


def cpu_quota(cgroup_folder: Path) -> float:
    """Cores that the control group grants; infinite without a limit. Versions 2 and 1."""
    try:
        quota, period = (cgroup_folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        quota, period = read_word(cgroup_folder / "cpu/cpu.cfs_quota_us"), "100000"
        period = read_word(cgroup_folder / "cpu/cpu.cfs_period_us") or period
    limited = quota.isdigit() and period.isdigit() and int(quota) > 0 and int(period) > 0
    return int(quota) / int(period) if limited else math.inf


def read_word(path: Path) -> str:
    """The content of a one-word file; empty when there is no such file."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def process_age_s() -> float:
    """Seconds since this process was started, by whatever program it was then."""
    stat = Path("/proc/self/stat").read_text()
    ticks = int(stat.rpartition(")")[2].split()[_START_FIELD])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def share_one_heap() -> None:
    """Let all threads share one heap; to be called before the first of them starts.

    glibc gives each thread a heap of its own, and none lends the others what is free in it. The
    stages pass on few and large blocks: they hardly ever wait for one another at the one heap,
    and at 1080p it saves up to 90 MB. Other C libraries stay as they are.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def check_memory(spare_bytes: int = _SPARE_BYTES) -> None:
    """To be asked where a library failed: those in C rarely say that it was for want of memory.

    Args:
        spare_bytes: what is hardly any.

    Raises:
        MemoryError: there is hardly any left.
    """
    try:
        mmap.mmap(-1, spare_bytes).close()
    except OSError as exc:
        raise MemoryError from exc


@contextlib.contextmanager
def naming_want_of_memory() -> Iterator[None]:
    """The one place where want of memory becomes an error of ours.

    Raises:
        OutOfMemoryError: in place of what Python and its extensions raise.
    """
    try:
        yield
    except (MemoryError, RuntimeError, ImportError, OSError) as exc:
        if not _is_want_of_memory(exc):
            raise
        raise OutOfMemoryError(
            "the memory or threads that this process may take ran out; give it more, or scale the "
            "video down"
        ) from exc


def _is_want_of_memory(exc: BaseException) -> bool:
    # EAGAIN is FFmpeg's for a thread that cannot start, as a thread has a stack.
    if isinstance(exc, MemoryError) or getattr(exc, "errno", None) in (errno.ENOMEM, errno.EAGAIN):
        return True
    return any(words in str(exc) for words in _WANT_OF_MEMORY)


def keep_memory_private() -> None:
    """Let no process of the same user look into this one, or read its environment in /proc.

    The programs that it starts are not covered. Whoever is root is not kept out.
    """
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


@dataclass(frozen=True)
class Hardware:
    """Which codecs may run on an NVIDIA GPU."""

    device_folder: Path | None = None
    """Where the driver puts its device files: /dev. None: all codecs run in software."""

    @classmethod
    def configured(cls, settings: Settings) -> "Hardware":
        """As the environment says."""
        return cls(Path("/dev") if settings.hardware_codecs == "auto" else None)

    @property
    def has_gpu(self) -> bool:
        """Whether there seems to be a GPU; its libraries are not touched to find out."""
        return self.device_folder is not None and (self.device_folder / _CONTROL_DEVICE).exists()


def meaning(exc: BaseException) -> str:
    """Why an engine did not open or stopped working, in words."""
    # Whoever has met such an error has imported PyAV; all others get by without its weight.
    import av.error

    if isinstance(exc, av.error.ExternalError):
        return _REFUSED
    if isinstance(exc, av.error.FFmpegError) and exc.errno is not None:
        return _MEANINGS.get(exc.errno, exc.strerror or str(exc))
    return str(exc)


@functools.lru_cache(maxsize=64)
def say_once(sentence: str) -> None:
    """Log a warning, unless this process has logged it lately: a worker does many jobs.

    Args:
        sentence: the same for the same cause, so it names no file.
    """
    _LOG.warning(printable(sentence))
