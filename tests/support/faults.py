"""What happens to a Triton server from outside, by signals to its real processes."""

import os
import signal
import time
from collections.abc import Callable

import psutil

from rvm_client.server import Supervisor, TritonServer


def _stub(server: TritonServer) -> psutil.Process:
    """The process in which Triton's Python backend runs the model."""
    children = psutil.Process(server.pid).children(recursive=True)
    (stub,) = (child for child in children if "stub" in child.name())
    return stub


FAULTS: dict[str, Callable[[TritonServer], None]] = {
    "server killed": lambda server: os.kill(server.pid, signal.SIGKILL),
    "server hangs": lambda server: os.kill(server.pid, signal.SIGSTOP),
    "model's process killed": lambda server: _stub(server).kill(),
    "model's process hangs": lambda server: _stub(server).suspend(),
}
"""By what they do. Each leaves the server alone in what it does not name."""


def strike(fault: str, supervisor: Supervisor) -> None:
    """Do it to the server that is there, or to the next one where it is being replaced.

    Frames that were matted before an earlier fault may come out while that is mended.
    """
    ends_s = time.monotonic() + 60
    while True:
        try:
            FAULTS[fault](supervisor.server)
            return
        except (ValueError, ProcessLookupError, psutil.NoSuchProcess):
            if time.monotonic() > ends_s:
                raise
            time.sleep(0.1)
