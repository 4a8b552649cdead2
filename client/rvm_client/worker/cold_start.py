"""How long it took from the process's start to the first frame of its first job, in parts."""

import threading
import time

from rvm_client.machine import process_age_s
from rvm_client.server import StartingServer, TritonServer


class ColdStart:
    """Parts that follow one another, so that they add up to the whole; docs/performance.md says
    what each of them is. In a container the process starts with it.

    Made as early as possible, which ends the part `Python`.
    """

    def __init__(self) -> None:
        self._last_s = time.monotonic()
        self._parts = {"Python": process_age_s()}
        self._beside = ""
        self._is_said = False
        self._lock = threading.Lock()

    def end(self, part: str) -> None:
        """End a part, which began where the one before it ended."""
        now_s = time.monotonic()
        self._add(part, now_s)

    def note_server(self, starting: StartingServer, server: TritonServer) -> None:
        """What our own server took, which starts beside the imports."""
        loaded = server.models_load_seconds()
        models = "" if loaded is None else f", {loaded:.2f} of them for the models"
        self._beside = f"; Triton started beside the imports, in {starting.seconds:.2f} s{models}"

    @property
    def parts(self) -> dict[str, float]:
        """Seconds of those that are over."""
        return self._parts.copy()

    def first_frame(self, job_started_s: float, source_there_s: float) -> str | None:
        """A sentence with all parts, for the first job that has a frame; None for all others.

        Args:
            job_started_s, source_there_s: when that job began, and when its source was fetched,
                on the clock `time.monotonic`.
        """
        with self._lock:
            if self._is_said:
                return None
            self._is_said = True
        self._add("waiting for a job", job_started_s)
        self._add("download", source_there_s)
        self.end("first frame")
        parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in self._parts.items())
        whole = sum(self._parts.values())
        return f"cold start: {whole:.2f} s to the first frame: {parts}{self._beside}"

    def _add(self, part: str, end_s: float) -> None:
        self._parts[part] = end_s - self._last_s
        self._last_s = end_s
