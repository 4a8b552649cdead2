"""How late pictures are shown, and how many a second."""

import threading
import time
from collections import deque
from typing import Any

import numpy as np

# What the figures are of.
_PICTURES = 300


class Figures:
    """The latencies of the last pictures, from their capture until they were shown."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown: deque[tuple[float, float]] = deque(maxlen=_PICTURES)

    def note(self, captured_s: float) -> None:
        """A picture that was captured then is shown now."""
        now_s = time.monotonic()
        with self._lock:
            self._shown.append((now_s, now_s - captured_s))

    def read(self) -> dict[str, Any]:
        """Frames a second, and the latency's 50th and 95th percentile in milliseconds."""
        with self._lock:
            shown = list(self._shown)
        if not shown:
            return {"fps": 0.0, "latency_ms": {"p50": 0.0, "p95": 0.0}}
        seconds = time.monotonic() - shown[0][0]
        p50, p95 = np.percentile([latency_s * 1000 for _, latency_s in shown], (50, 95))
        return {
            "fps": round((len(shown) - 1) / seconds, 1),
            "latency_ms": {"p50": round(p50, 1), "p95": round(p95, 1)},
        }
