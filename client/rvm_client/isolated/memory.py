"""Memory that the worker shares with a process it does not trust."""

import fcntl
import math
import mmap
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from rvm_client.pixels import UInt8Array

# Cut short, the memory would end the worker by SIGBUS.
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class Block:
    """`size_bytes` of memory without a name, which is gone when nobody maps it any more.

    Raises:
        OSError: there is not so much.
    """

    def __init__(self, size_bytes: int) -> None:
        self.descriptor = os.memfd_create("rvm-decoder", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.posix_fallocate(self.descriptor, 0, size_bytes)
            fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, _SEALS)
            self.memory = mmap.mmap(self.descriptor, size_bytes)
        except BaseException:
            self.forget_descriptor()
            raise

    def forget_descriptor(self) -> None:
        """Once the other process has it."""
        os.close(self.descriptor)

    def lend(
        self, shape: tuple[int, ...], give_back: Callable[[], None] = lambda: None
    ) -> UInt8Array:
        """The memory as an array; `give_back` is called when nobody has it or a view of it."""
        return np.asarray(_Loan(self, shape, give_back))


class _Loan:
    """What an array and all its views hold on to."""

    def __init__(self, block: Block, shape: tuple[int, ...], give_back: Callable[[], None]) -> None:
        self._block, self._give_back = block, give_back
        start = np.frombuffer(block.memory, np.uint8, math.prod(shape)).ctypes.data
        # NumPy's protocol for memory that is somebody else's.
        self.__array_interface__: dict[str, Any] = {
            "shape": shape,
            "typestr": "|u1",
            "data": (start, False),
            "version": 3,
        }

    def __del__(self) -> None:
        self._give_back()


def mapped(descriptor: int) -> UInt8Array:
    """All of the memory behind a descriptor, which is closed."""
    try:
        return np.frombuffer(mmap.mmap(descriptor, os.fstat(descriptor).st_size), np.uint8)
    finally:
        os.close(descriptor)
