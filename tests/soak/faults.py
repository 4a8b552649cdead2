"""What happens to the processes of a worker, by signals from outside."""

import contextlib
import os
import signal
import threading
from collections import Counter
from random import Random

import psutil
from tests.soak.endpoint import Endpoint

# By the name of the process, or a part of its command line; how often in relation to each other.
_VICTIMS = {
    ("server", signal.SIGKILL): 3,
    ("server", signal.SIGSTOP): 2,
    ("model's process", signal.SIGKILL): 3,
    ("model's process", signal.SIGSTOP): 2,
    ("decoder", signal.SIGKILL): 3,
    ("decoder", signal.SIGSTOP): 2,
    ("worker", signal.SIGKILL): 2,
}
_MARKS = {
    "server": "tritonserver",
    "model's process": "triton_python_backend_stub",
    "decoder": "rvm_client.isolated.child",
}


class Faults:
    """Strikes in a thread of its own for as long as its context lasts; `counts` has the strikes."""

    def __init__(self, endpoint: Endpoint, seed: int, pause_s: float) -> None:
        self.counts: Counter[str] = Counter()
        self._endpoint = endpoint
        self._random = Random(seed)
        self._pause_s = pause_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._random.uniform(0.2, 2) * self._pause_s):
            ((name, number),) = self._random.choices(
                list(_VICTIMS), weights=list(_VICTIMS.values())
            )
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError, IndexError):
                os.kill(self._victim(name), number)
                self.counts[f"{name} {number.name}"] += 1

    def _victim(self, name: str) -> int:
        worker = self._endpoint.worker
        if name == "worker":
            return worker.pid
        found = []
        for process in worker.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                # The guard has the server's command in its own.
                if any(_MARKS[name] in part for part in process.cmdline()[:3]):
                    found.append(process.pid)
        return self._random.choice(found)
