"""Memory that this process and a Triton server on the same machine both map.

The segment loses its name as soon as the server has mapped it: whoever dies, and however, no
file stays in /dev/shm. What can stay is the server's mapping of a client that was killed, or of a
request that the server had not come to at the end; the next region's maker ends it.
"""

import contextlib
import mmap
import operator
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from rvm_client.errors import InferenceError, ServerError, ServerLostError
from rvm_client.matte.connection import Connection
from rvm_client.owned import OwnedFile, identity, is_gone, sweep

SEGMENTS = Path("/dev/shm")
# A server that works on the region's last frames lets go of it within these; one that is hung
# must not hold us.
_UNREGISTER_S = 2.0
_NAME = re.compile(r"rvm-client-(\d+-\d+-\d+)-.*")
# Those of this process that servers may still map, though nobody here has a use for them.
_left: set[str] = set()


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
                _end_old_mappings(connection)
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

    def let_go(self) -> bool:
        """End the registration, unless the server still uses it; whether that was done.

        The memory goes when the last array over it does.
        """
        try:
            self._connection.unregister(self.name, _UNREGISTER_S)
        except ServerError as exc:
            self.abandon()
            # One that has gone needs no second attempt.
            return not isinstance(exc, InferenceError)
        _left.discard(self.name)
        return True

    def abandon(self) -> None:
        """Leave it to a server that may have gone, or may still be at work on it."""
        _left.add(self.name)

    @retry(
        retry=retry_if_result(operator.not_),
        stop=stop_after_delay(_UNREGISTER_S),
        wait=wait_fixed(0.05),
        retry_error_callback=lambda _state: None,
    )
    def close(self) -> bool:
        """`let_go`, and again: the server may hold the region for a moment after an answer."""
        return self.let_go()


def _map(descriptor: int, size_bytes: int) -> mmap.mmap:
    # Takes the memory now: a segment that only grows on use ends in SIGBUS on a full disk.
    os.posix_fallocate(descriptor, 0, size_bytes)
    return mmap.mmap(descriptor, size_bytes)


def _end_old_mappings(connection: Connection) -> None:
    for name in connection.regions():
        owner = _NAME.fullmatch(name)
        if name in _left or (owner is not None and is_gone(owner[1])):
            # Another client may have been faster, and a server may still use it.
            with contextlib.suppress(ServerError):
                connection.unregister(name)
                _left.discard(name)
