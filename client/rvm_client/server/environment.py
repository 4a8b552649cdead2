"""What the Triton server's process gets from us: environment variables.

The embedded server gets those of an allow-list. An installed one gets all that its image sets,
some of it on purpose (`UCX_MEM_EVENTS`, `OPAL_*`, `TRITON_*`), but nothing that may be secret.
Neither needs keys for uploads, so it never sees them.
"""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rvm_client.machine import available_cores
from rvm_client.server.install import TritonInstall

ALLOWED_NAMES = frozenset({
    "HOME", "HOSTNAME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "LD_PRELOAD", "LOGNAME", "PATH",
    "PYTHONDONTWRITEBYTECODE", "SHELL", "TEMP", "TMP", "TMPDIR", "TZ", "USER", "XDG_CACHE_HOME",
})  # fmt: skip
ALLOWED_PREFIXES = (
    "CUDA_", "CUDNN_", "GOMP_", "KMP_", "LC_", "MALLOC_", "MKL_", "NCCL_", "NVIDIA_", "OMP_",
    "PYTORCH_", "TORCH_", "TCMALLOC_",
)  # fmt: skip
SECRET_MARKS = ("KEY", "SECRET", "TOKEN", "PASSW", "CREDENTIAL")
# Of the stores and of RunPod: keys, signed addresses, what only the worker has use for.
SECRET_PREFIXES = ("AWS_", "BUCKET_", "CLOUDINARY_", "RUNPOD_")
# scheme://user:password@host
CREDENTIALS_IN_URL = re.compile(r"://[^/\s]*@")

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

# NVIDIA's libraries may round what float32 matrix products and convolutions multiply to 10 bits of
# mantissa. What the model has in float32 is there because it must not be rounded.
TRUE_FLOAT32 = {"NVIDIA_TF32_OVERRIDE": "0"}

SERVER_TUNING = KEEP_LARGE_BLOCKS | SPIN_BRIEFLY | TRUE_FLOAT32
"""What the server's process gets where the environment does not say otherwise."""

# The model thread of the C++ backend has a heap of its own, to which the settings above do not
# apply: 1.2 million page faults against 0.24 with one heap for all.
INSTALLED_TUNING = SERVER_TUNING | {"MALLOC_ARENA_MAX": "1"}


def server_environment(
    inherited: Mapping[str, str], install: TritonInstall, threads: int | None = None
) -> dict[str, str]:
    """The server's environment variables.

    Args:
        inherited: the variables of this process, of which the harmless ones are passed on.
        install: the server; its library folders are searched before those of LD_LIBRARY_PATH.
        threads: cores that one request may use; None: OMP_NUM_THREADS, else all available ones.
    """
    environment = {
        name: value
        for name, value in inherited.items()
        if not is_secret(name, value) and (not install.embedded or is_allowed(name))
    }
    for name, value in (SERVER_TUNING if install.embedded else INSTALLED_TUNING).items():
        environment.setdefault(name, value)
    environment.setdefault("OMP_NUM_THREADS", str(available_cores()))
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    prepend(environment, "LD_LIBRARY_PATH", install.library_folders)
    # An embedded Python finds its venv by the `python3` that it meets first on PATH.
    prepend(environment, "PATH", [Path(sys.executable).parent])
    prepend(environment, "PYTHONPATH", package_folders())
    return environment


def is_secret(name: str, value: str) -> bool:
    """Whether a variable may hold what nobody but the worker is to know."""
    marked = any(mark in name.upper() for mark in SECRET_MARKS)
    return marked or name.startswith(SECRET_PREFIXES) or bool(CREDENTIALS_IN_URL.search(value))


def is_allowed(name: str) -> bool:
    """Whether a variable is one that the embedded server has use for."""
    return name in ALLOWED_NAMES or name.startswith(ALLOWED_PREFIXES)


def prepend(environment: dict[str, str], name: str, folders: Sequence[Path]) -> None:
    """Put folders before those that a search path variable already has."""
    parts = [*map(str, folders), *environment.get(name, "").split(os.pathsep)]
    environment[name] = os.pathsep.join(part for part in parts if part)


def package_folders() -> list[Path]:
    """The folders from which this process imports installed packages."""
    names = ("site-packages", "dist-packages")
    return [entry for entry in map(Path, sys.path) if entry.name in names]
