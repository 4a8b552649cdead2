"""What happens to a Triton server from outside, by signals to its real processes."""

import os
import signal
from collections.abc import Callable

import psutil

from rvm_client.server import TritonServer


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
