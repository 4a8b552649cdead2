"""The real Cloudinary SDK against a server that checks what arrives."""

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cloudinary
import pytest
import requests
from pydantic import SecretStr
from tests.support import http_faults as faults
from tests.support.cloudinary_server import CloudinaryServer
from tests.support.uploads import QUICK, Reports, assert_stops_while_it_waits, make_request

from rvm_client.config import Settings
from rvm_client.errors import ConfigError, StoppedError, UploadError
from rvm_client.upload import Store, UploadProgress, choose_store
from rvm_client.upload.store import CHUNK_BYTES

THREE_CHUNKS = 2 * CHUNK_BYTES + 12345


@pytest.fixture
def server() -> Iterator[CloudinaryServer]:
    with CloudinaryServer() as running:
        yield running


def make_store(server: CloudinaryServer, secret: str | None = None) -> Store:
    url = server.cloudinary_url
    if secret:
        url = url.replace(server.api_secret, secret)
    return choose_store(Settings(cloudinary_url=SecretStr(url)))


def assert_stored(server: CloudinaryServer, content: bytes) -> None:
    """The video is there, in three chunks of one upload."""
    assert server.videos == {"rvm-output/result-1": content}
    good = [seen for seen in server.chunk_requests if seen.status == 200]
    assert len({seen.upload_id for seen in good}) == 1
    assert list(dict.fromkeys(seen.content_range for seen in good)) == [
        f"bytes 0-{CHUNK_BYTES - 1}/{THREE_CHUNKS}",
        f"bytes {CHUNK_BYTES}-{2 * CHUNK_BYTES - 1}/{THREE_CHUNKS}",
        f"bytes {2 * CHUNK_BYTES}-{THREE_CHUNKS - 1}/{THREE_CHUNKS}",
    ]


def test_chunks_arrive_signed_and_whole(server: CloudinaryServer, tmp_path: Path) -> None:
    request = make_request(tmp_path, THREE_CHUNKS)
    reports = Reports()

    result = make_store(server).upload(request, on_progress=reports)

    assert_stored(server, request.path.read_bytes())
    assert len(server.chunk_requests) == 3
    assert (result.bytes, result.store) == (THREE_CHUNKS, "Cloudinary")
    assert requests.get(result.url, timeout=10).content == request.path.read_bytes()
    reports.assert_complete(THREE_CHUNKS)
    assert {CHUNK_BYTES, 2 * CHUNK_BYTES} <= set(reports.sent_bytes)


def test_a_small_file_is_one_request(server: CloudinaryServer, tmp_path: Path) -> None:
    request = replace(make_request(tmp_path, 1000), folder="a folder/b&c=d")

    make_store(server).upload(request)

    assert server.videos == {"a folder/b&c=d/result-1": request.path.read_bytes()}
    assert len(server.chunk_requests) == 1


@pytest.mark.parametrize(
    "fault",
    [
        faults.status(503, body=b'{"error": {"message": "busy"}}'),
        faults.status(502, body=b"<html>Bad Gateway</html>"),
        faults.status(420, body=b'{"error": {"message": "slow down"}}'),
        faults.reset(),
        faults.lost(),
    ],
    ids=["503", "502 without JSON", "420", "dropped within the chunk", "answer lost"],
)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_chunk_that_fails_once_is_sent_again(
    server: CloudinaryServer, tmp_path: Path, fault: faults.Answer, number: int
) -> None:
    request = make_request(tmp_path, THREE_CHUNKS)
    server.answers(*[faults.usual()] * (number - 1), fault, faults.usual())
    reports = Reports()

    make_store(server).upload(request, on_progress=reports)

    assert_stored(server, request.path.read_bytes())
    assert len(server.requests) == 4
    reports.assert_complete(THREE_CHUNKS)


def test_retry_after_is_waited_for_up_to_its_bound(
    server: CloudinaryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounded = replace(QUICK, longest_retry_after_s=0.4)
    monkeypatch.setattr("rvm_client.upload.cloudinary.BACKOFF", bounded)
    server.answers(faults.status(429, {"Retry-After": "86400"}), faults.usual())
    request = make_request(tmp_path, 1000)
    started_s = time.monotonic()

    make_store(server).upload(request)

    assert 0.4 <= time.monotonic() - started_s < 30
    assert len(server.requests) == 2


def test_a_server_that_stays_busy_is_given_up(server: CloudinaryServer, tmp_path: Path) -> None:
    server.answers(faults.status(503))

    with pytest.raises(UploadError, match="status 503; given up at attempt 4"):
        make_store(server).upload(make_request(tmp_path, 1000))

    assert len(server.requests) == QUICK.attempts


def test_nobody_at_the_address(tmp_path: Path) -> None:
    with CloudinaryServer() as gone:
        store = make_store(gone)

    with pytest.raises(UploadError, match="broke or timed out"):
        store.upload(make_request(tmp_path, 1000))
    with pytest.raises(UploadError, match="broke or timed out"):
        store.check()


def test_a_wrong_secret_fails_at_once(
    server: CloudinaryServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store = make_store(server, secret="a-wrong-secret")

    with pytest.raises(UploadError, match="refused the credentials of the cloud 'test-cloud'") as e:
        store.upload(make_request(tmp_path, THREE_CHUNKS))

    assert len(server.requests) == 1
    for text in (str(e.value), repr(store), caplog.text):
        assert "a-wrong-secret" not in text
        assert server.api_key not in text


def test_check_accepts_the_account(server: CloudinaryServer) -> None:
    make_store(server).check()

    assert [sent.path for sent in server.requests] == ["/v1_1/test-cloud/ping"]


def test_check_refuses_a_wrong_secret(server: CloudinaryServer) -> None:
    with pytest.raises(ConfigError, match="check CLOUDINARY_URL"):
        make_store(server, secret="a-wrong-secret").check()

    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [403, 420, 429])
def test_check_accepts_a_key_that_may_not_ask(server: CloudinaryServer, status: int) -> None:
    server.answers(faults.status(status, body=b'{"error": {"message": "no"}}'))

    make_store(server).check()


def test_cloudinary_s_own_reason_is_passed_on(tmp_path: Path) -> None:
    with CloudinaryServer(max_video_bytes=999) as server:
        with pytest.raises(
            UploadError, match=r"400: File size too large\. Got 1000\. Maximum is 999$"
        ):
            make_store(server).upload(make_request(tmp_path, 1000))

        assert len(server.requests) == 1


def test_a_reason_that_repeats_the_secret_is_redacted(
    server: CloudinaryServer, tmp_path: Path
) -> None:
    body = f'{{"error": {{"message": "odd {server.api_secret} {server.api_key}"}}}}'
    server.answers(faults.status(400, body=body.encode()))

    with pytest.raises(UploadError, match=r"odd \*\*\* \*\*\*$"):
        make_store(server).upload(make_request(tmp_path, 1000))


def test_a_video_that_was_stored_short_is_an_error(
    server: CloudinaryServer, tmp_path: Path
) -> None:
    server.answers(faults.status(200, body=b'{"secure_url": "https://x/y.mp4", "bytes": 999}'))

    with pytest.raises(UploadError, match="stored 999 bytes of 1000"):
        make_store(server).upload(make_request(tmp_path, 1000))


def test_cancelled_between_chunks(server: CloudinaryServer, tmp_path: Path) -> None:
    cancelled = threading.Event()

    def stop_after_first(progress: UploadProgress) -> None:
        if progress.sent_bytes >= CHUNK_BYTES:
            cancelled.set()

    with pytest.raises(StoppedError):
        make_store(server).upload(
            make_request(tmp_path, THREE_CHUNKS), on_progress=stop_after_first, cancelled=cancelled
        )

    assert len(server.chunk_requests) == 1
    assert server.videos == {}


def test_cancelled_while_waiting_to_try_again(
    server: CloudinaryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = replace(QUICK, first_wait_s=600, longest_wait_s=600)
    monkeypatch.setattr("rvm_client.upload.cloudinary.BACKOFF", patient)
    server.answers(faults.status(503))

    assert_stops_while_it_waits(make_store(server), make_request(tmp_path, 1000), server)


def test_two_accounts_at_the_same_time(tmp_path: Path) -> None:
    with CloudinaryServer() as one, CloudinaryServer() as other, ThreadPoolExecutor(4) as pool:
        other.cloud_name, other.api_key, other.api_secret = "other-cloud", "999", "other-secret"
        jobs = []
        for number in range(8):
            folder = tmp_path / str(number)
            folder.mkdir()
            request = make_request(folder, CHUNK_BYTES + number, name=f"job-{number}")
            store = make_store((one, other)[number % 2])
            jobs.append((pool.submit(store.upload, request), (one, other)[number % 2], request))
        for uploading, server, request in jobs:
            uploading.result(60)
            assert server.videos[f"rvm-output/{request.name}"] == request.path.read_bytes()

    assert (len(one.videos), len(other.videos)) == (4, 4)
    assert cloudinary.config().cloud_name is None


def test_three_variables_do_as_well_as_the_url() -> None:
    store = choose_store(
        Settings(
            cloudinary_cloud_name="cloud",
            cloudinary_api_key=SecretStr("key"),
            cloudinary_api_secret=SecretStr("secret"),
            cloudinary_max_file_bytes=7,
        )
    )

    assert (store.name, store.max_file_bytes) == ("Cloudinary", 7)


@pytest.mark.parametrize(
    "url",
    [
        "https://key:the-secret@cloud",
        "cloudinary://key@cloud",
        "cloudinary://key:the-secret@",
        "cloudinary://key:the-secret@[cloud",
        "key:the-secret@cloud",
    ],
)
def test_a_malformed_cloudinary_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigError, match="cloudinary://API_KEY:API_SECRET@CLOUD_NAME") as e:
        choose_store(Settings(cloudinary_url=SecretStr(url)))

    assert "the-secret" not in str(e.value)
    assert e.value.__cause__ is None
