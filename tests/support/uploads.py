"""What the tests of all stores share."""

import math
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.http_faults import FaultyServer

from rvm_client.errors import StoppedError
from rvm_client.net import Backoff
from rvm_client.upload import Store, UploadProgress, UploadRequest

# Patient in number, not in time.
QUICK = Backoff(attempts=4, first_wait_s=0.01, longest_wait_s=0.05, longest_retry_after_s=0.05)


def make_request(
    folder_path: Path, size_bytes: int, *, folder: str = "rvm-output", name: str = "result-1"
) -> UploadRequest:
    """A request for a file of random bytes, the same for the same size."""
    path = folder_path / "video.mp4"
    path.write_bytes(random.Random(size_bytes).randbytes(size_bytes))
    return UploadRequest(path=path, folder=folder, name=name, content_type="video/mp4")


def assert_stops_while_it_waits(store: Store, request: UploadRequest, server: FaultyServer) -> None:
    """An upload whose first request fails is stopped during the wait for the second."""
    cancelled = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        uploading = pool.submit(store.upload, request, cancelled=cancelled, timeout_s=math.inf)
        assert server.answered.wait(30)
        # It reads the answer meanwhile. With less, it might be stopped in the request.
        time.sleep(0.2)
        cancelled.set()
        with pytest.raises(StoppedError):
            uploading.result(30)
    assert len(server.requests) == 1


class Reports:
    """An `on_progress` that keeps what it is told."""

    def __init__(self) -> None:
        self.sent_bytes: list[int] = []
        self.total_bytes: set[int] = set()

    def __call__(self, progress: UploadProgress) -> None:
        self.sent_bytes.append(progress.sent_bytes)
        self.total_bytes.add(progress.total_bytes)

    def assert_complete(self, total_bytes: int) -> None:
        """They start at 0, only grow, and end at the total."""
        assert self.total_bytes == {total_bytes}
        assert self.sent_bytes[0] == 0
        assert self.sent_bytes[-1] == total_bytes
        assert self.sent_bytes == sorted(set(self.sent_bytes))
