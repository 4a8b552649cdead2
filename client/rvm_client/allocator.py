"""How this process keeps memory that it has freed."""

import contextlib
import ctypes

# Of glibc's malloc.h.
_M_ARENA_MAX = -8


def share_one_heap() -> None:
    """Let all threads share one heap; to be called before the first of them starts.

    glibc gives each thread a heap of its own, and none lends the others what is free in it. The
    stages pass on few and large blocks: they hardly ever wait for one another at the one heap,
    and at 1080p it saves up to 90 MB. Other C libraries stay as they are.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
