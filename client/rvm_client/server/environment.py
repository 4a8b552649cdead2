"""What the Triton server's process gets from us: environment variables.

The environment is an allow-list: a server needs no upload keys, so it never sees them.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rvm_client.machine import available_cores

ALLOWED_NAMES = frozenset({
    "HOME", "HOSTNAME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "LD_PRELOAD", "LOGNAME", "PATH",
    "PYTHONDONTWRITEBYTECODE", "SHELL", "TEMP", "TMP", "TMPDIR", "TZ", "USER", "XDG_CACHE_HOME",
})  # fmt: skip
ALLOWED_PREFIXES = (
    "CUDA_", "CUDNN_", "GOMP_", "KMP_", "LC_", "MALLOC_", "MKL_", "NCCL_", "NVIDIA_", "OMP_",
    "PYTORCH_", "TORCH_", "TCMALLOC_",
)  # fmt: skip
SECRET_MARKS = ("KEY", "SECRET", "TOKEN", "PASSW", "CREDENTIAL")

# Full-resolution float tensors stay in the heap. With glibc's defaults each is mapped and
# unmapped anew, and at 1080p the page faults cost as much as the arithmetic.
KEEP_LARGE_BLOCKS = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "-1",
    "MALLOC_TOP_PAD_": str(256 * 2**20),
}

# Decoders and encoders work on the same cores. A thread that spins for long while it waits for
# one that was put off the processor takes its place, and one that sleeps at once wakes late.
# Tried at 1080p on two cores, frames a second of the whole pipeline, by count of spins: 0: 5.3,
# 1000: 7.5, 10000: 6.8 to 7.8; with another busy process: 5.7, 4.4, and 3.2 from 3000 on.
SPIN_BRIEFLY = {"GOMP_SPINCOUNT": "1000"}

SERVER_TUNING = KEEP_LARGE_BLOCKS | SPIN_BRIEFLY
"""What the server's process gets where the environment does not say otherwise."""


def server_environment(
    inherited: Mapping[str, str], library_folders: Sequence[Path], threads: int | None = None
) -> dict[str, str]:
    """The server's environment variables.

    Args:
        inherited: the variables of this process, of which the harmless ones are passed on.
        library_folders: searched for shared libraries before those of LD_LIBRARY_PATH.
        threads: cores that one request may use; None: OMP_NUM_THREADS, else all available ones.
    """
    environment = {name: value for name, value in inherited.items() if is_allowed(name)}
    for name, value in SERVER_TUNING.items():
        environment.setdefault(name, value)
    environment.setdefault("OMP_NUM_THREADS", str(available_cores()))
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    prepend(environment, "LD_LIBRARY_PATH", library_folders)
    # An embedded Python finds its venv by the `python3` that it meets first on PATH.
    prepend(environment, "PATH", [Path(sys.executable).parent])
    environment["PYTHONPATH"] = os.pathsep.join(package_folders())
    return environment


def is_allowed(name: str) -> bool:
    """Whether a variable may be passed on to the server."""
    if any(mark in name.upper() for mark in SECRET_MARKS):
        return False
    return name in ALLOWED_NAMES or name.startswith(ALLOWED_PREFIXES)


def prepend(environment: dict[str, str], name: str, folders: Sequence[Path]) -> None:
    """Put folders before those that a search path variable already has."""
    parts = [*map(str, folders), *environment.get(name, "").split(os.pathsep)]
    environment[name] = os.pathsep.join(part for part in parts if part)


def package_folders() -> list[str]:
    """The folders from which this process imports installed packages."""
    return [entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
