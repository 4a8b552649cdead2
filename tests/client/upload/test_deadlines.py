"""Stores that take for ever: every upload ends with its limit, or when it is told to."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.support import http_faults as faults
from tests.support.http_faults import FaultyServer
from tests.support.uploads import QUICK, make_request

from rvm_client.config import Settings
from rvm_client.errors import StoppedError, UploadError
from rvm_client.upload import Store, choose_store, presigned_store

# More than one part or chunk, and more than fits into the buffers of a connection.
FILE_BYTES = 13_000_000
# Whoever asks to stop is obeyed within this.
OBEYED_S = 20.0

STORES: dict[str, Callable[[FaultyServer], Store]] = {
    "presigned": lambda server: presigned_store(server.url("/o"), allow_private_addresses=True),
    "Cloudinary": lambda server: choose_store(
        Settings(
            cloudinary_url=SecretStr(f"cloudinary://k:s@cloud?upload_prefix={server.base_url}")
        )
    ),
    "S3": lambda server: choose_store(
        Settings(
            bucket_endpoint_url=SecretStr(server.base_url),
            bucket_access_key_id=SecretStr("key"),
            bucket_secret_access_key=SecretStr("secret"),
            bucket_name="results",
        )
    ),
}
UPLOAD_ID = b"<R><Bucket>results</Bucket><Key>k</Key><UploadId>1</UploadId></R>"
FAULTS = {
    "accepts and says nothing": [faults.mute(deaf=True)],
    "reads and says nothing": [faults.mute()],
    "trickles a header": [faults.endless_head(0.05)],
    "is busy for 10^23 s": [faults.status(503, {"Retry-After": "1" + "0" * 23})],
    "trickles a body": [faults.endless(b" ", 0.05)],
    "falls silent at the parts": [faults.status(200, body=UPLOAD_ID), faults.mute(deaf=True)],
}
# Of a presigned URL's answer only the status counts, and only S3 has parts.
SKIPPED = [
    ("presigned", "trickles a body"),
    ("presigned", "falls silent at the parts"),
    ("Cloudinary", "falls silent at the parts"),
]
CASES = [case for case in itertools.product(STORES, FAULTS) if case not in SKIPPED]


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that only the deadline ends."""
    patient = replace(QUICK, longest_retry_after_s=600.0)
    for module in ("cloudinary", "presigned", "s3"):
        monkeypatch.setattr(f"rvm_client.upload.{module}.BACKOFF", patient)


@pytest.mark.parametrize(("kind", "fault"), CASES)
def test_an_upload_ends_with_its_limit(
    server: FaultyServer, tmp_path: Path, kind: str, fault: str
) -> None:
    store = STORES[kind](server)
    server.answers(*FAULTS[fault])
    threads = threading.active_count()
    started_s = time.monotonic()

    with pytest.raises(UploadError) as caught:
        store.upload(make_request(tmp_path, FILE_BYTES), timeout_s=0.3)

    assert time.monotonic() - started_s < 0.3 + OBEYED_S
    # A store that asks for more time than there is gets no second attempt.
    assert "limit of 0.3 s (RVM_UPLOAD_TIMEOUT_S)" in str(caught.value) or "503" in str(caught)
    # A server's own threads end when it does.
    server.close()
    # A thread that has done its last work is still counted for a moment.
    ended_s = time.monotonic() + 1
    while threading.active_count() > threads and time.monotonic() < ended_s:
        time.sleep(0.01)
    assert threading.active_count() <= threads


@pytest.mark.parametrize(
    ("kind", "fault"), [case for case in CASES if not case[1].startswith(("reads", "trickles"))]
)
def test_an_upload_ends_when_it_is_told_to(
    server: FaultyServer, tmp_path: Path, kind: str, fault: str
) -> None:
    store = STORES[kind](server)
    server.answers(*FAULTS[fault])
    cancelled = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        uploading = pool.submit(
            store.upload, make_request(tmp_path, FILE_BYTES), cancelled=cancelled, timeout_s=600.0
        )
        assert server.arrived.wait(30)
        cancelled.set()
        with pytest.raises(StoppedError):
            uploading.result(OBEYED_S)


@pytest.mark.parametrize("kind", ["Cloudinary", "S3"])
def test_a_check_ends_with_its_limit(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("rvm_client.upload.store._CHECK_TIMEOUT_S", 0.3)
    server.answers(faults.mute())

    with pytest.raises(UploadError, match=f"{kind} did not answer within 0.3 s"):
        STORES[kind](server).check()
