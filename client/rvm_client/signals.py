"""Signals that stop a program: what they raise, and where that has to wait."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signalled(KeyboardInterrupt):
    """What Ctrl-C raises, under a name of its own, with the signal's number.

    Where KeyboardInterrupt itself ends an `exec` of source text, as dataclasses do at an import,
    Python notes it, and at its end kills the process by SIGINT although it was caught.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.number = number


def stop_on_signals() -> None:
    """Let SIGTERM and SIGHUP do what Ctrl-C does: raise KeyboardInterrupt.

    Ctrl-C does it again, too, where a shell started this program with SIGINT ignored, as shells
    do with background jobs. SIGHUP, the end of the terminal, stays ignored under `nohup`.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _raise)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _raise)


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Let what `stop_on_signals` raises wait for the end of the block.

    Modules that are written in C lose what is raised while they import others, and break; and what
    is made in the block has its owner then. In other threads nothing is raised anyhow.
    """
    held: list[int] = []

    def hold(number: int, _frame: FrameType | None) -> None:
        held.append(number)

    is_main = threading.current_thread() is threading.main_thread()
    ours = [number for number in _STOPPING if is_main and signal.getsignal(number) is _raise]
    for number in ours:
        signal.signal(number, hold)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, _raise)
    if held:
        raise Signalled(held[0])


def _raise(number: int, _frame: FrameType | None) -> NoReturn:
    raise Signalled(number)
