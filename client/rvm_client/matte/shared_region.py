"""Memory that this process and a Triton server on the same machine both map.

The segment loses its name as soon as the server has mapped it: whoever dies, and however, no
file stays in /dev/shm. What can stay is the server's mapping of a client that was killed; the
next client ends it.
"""

import contextlib
import mmap
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from rvm_client.errors import InferenceError, ServerError, ServerLostError
from rvm_client.matte.connection import Connection
from rvm_client.owned import OwnedFile, identity, is_gone, sweep

SEGMENTS = Path("/dev/shm")
# A server that works on the region's last frames lets go of it within these; one that is hung
# must not hold us.
_UNREGISTER_S = 2.0
_NAME = re.compile(r"rvm-client-(\d+-\d+-\d+)-.*")


class SharedMemoryError(Exception):
    """Memory cannot be shared with this server; the text says why."""


def shared_room_bytes(jobs_at_once: int = 1) -> int:
    """What one of so many jobs may take of the machine's shared memory; 0 where there is none.

    Its part of the whole, as far as that is left.
    """
    try:
        status = os.statvfs(SEGMENTS)
    except OSError:
        return 0
    return status.f_frsize * min(status.f_bavail, status.f_blocks // jobs_at_once)


class SharedRegion:
    """One region of `size_bytes`, registered with the server under `name`.

    Raises:
        SharedMemoryError: /dev/shm is too small, or the server runs elsewhere, as another user,
            or does not allow it.
        ServerLostError: the server has gone.
    """

    def __init__(self, connection: Connection, size_bytes: int) -> None:
        self._connection = connection
        try:
            sweep(SEGMENTS, "rvm-client-")
            with OwnedFile(SEGMENTS, f"rvm-client-{identity()}-", mode=0o600) as segment:
                self.name = segment.path.name
                self._memory = _map(segment.descriptor, size_bytes)
                _end_mappings_of_the_dead(connection)
                connection.register(self.name, size_bytes)
        except OSError as exc:
            raise SharedMemoryError(f"{size_bytes} bytes of {SEGMENTS}: {exc.strerror}") from exc
        except ServerLostError:
            raise
        except ServerError as exc:
            raise SharedMemoryError(str(exc)) from exc
        self._bytes = np.frombuffer(self._memory, np.uint8)

    def array(self, offset: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """The memory from `offset` on as an array; no copy."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self._bytes[offset : offset + size].view(dtype).reshape(shape)

    def offset_of(self, array: npt.NDArray[Any]) -> int | None:
        """Where an array that `array` made begins; None for one that lies elsewhere."""
        offset = array.ctypes.data - self._bytes.ctypes.data
        return offset if 0 <= offset < self._bytes.size else None

    def close(self) -> None:
        """End the registration. The memory goes when the last array over it does."""
        with contextlib.suppress(ServerError):
            self._unregister()

    @retry(
        retry=retry_if_exception_type(InferenceError),
        stop=stop_after_delay(_UNREGISTER_S),
        wait=wait_fixed(0.05),
        reraise=True,
    )
    def _unregister(self) -> None:
        # The server may still hold the region for a moment after its last answer.
        self._connection.unregister(self.name, _UNREGISTER_S)


def _map(descriptor: int, size_bytes: int) -> mmap.mmap:
    # Takes the memory now: a segment that only grows on use ends in SIGBUS on a full disk.
    os.posix_fallocate(descriptor, 0, size_bytes)
    return mmap.mmap(descriptor, size_bytes)


def _end_mappings_of_the_dead(connection: Connection) -> None:
    for name in connection.regions():
        owner = _NAME.fullmatch(name)
        if owner is not None and is_gone(owner[1]):
            # Another client may have been faster.
            with contextlib.suppress(ServerError):
                connection.unregister(name)
