"""What makes the worker stop: signals, and the end of its server."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from rvm_client.closing import Closing
from rvm_client.errors import ServerError
from rvm_client.server import Supervisor

# The current jobs, whose requests now fail, have this long to say so.
_GRACE_S = 30.0
_KILLED = 128 + signal.SIGKILL


class SecondSignal:
    """Leaves the first signal to those who run the jobs, and ends the process at the second.

    Args:
        end_at_once: ends what would outlive the process; called in the main thread.
    """

    def __init__(self, end_at_once: Callable[[], None]) -> None:
        self._end_at_once = end_at_once
        self._answers: dict[int, Any] = {}
        self._count = 0

    def watch(self) -> None:
        """Stand before the handlers there are: RunPod's SDK sets its own. Main thread only."""
        for number in (signal.SIGTERM, signal.SIGINT):
            current = signal.getsignal(number)
            if current != self._on_signal:
                self._answers[number] = current
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._count == 1:
            print(
                "stopping: current jobs may finish; a second signal stops at once", file=sys.stderr
            )
            self._answers[number](number, frame)
            return
        print("stopping at once", file=sys.stderr, flush=True)
        self._end_at_once()
        os._exit(_KILLED)


class ServerWatch(Closing):
    """Keeps the worker's server there, and ends the worker when that fails.

    Args:
        supervisor: of the server; whoever made it also closes it.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self.has_ended = False
        self._supervisor = supervisor
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="server watch", daemon=True).start()

    def close(self) -> None:
        """Watch no longer: the server is about to be stopped."""
        self._closed.set()

    def end_server(self) -> None:
        """Kill the server, which is then no reason to end."""
        self.close()
        self._supervisor.close(at_once=True)

    def _run(self) -> None:
        try:
            self._supervisor.keep()
            return
        except ServerError as exc:
            if self._closed.is_set():
                return
            print(f"error: {exc}; the worker ends too", file=sys.stderr, flush=True)
        self.has_ended = True
        os.kill(os.getpid(), signal.SIGTERM)
        if not self._closed.wait(_GRACE_S):
            self.end_server()
            os._exit(ServerError.exit_code)
