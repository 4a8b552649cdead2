"""A job's own URL, against a server on loopback that keeps what is PUT to it."""

import logging
import socket
import threading
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from tests.support import http_faults as faults
from tests.support.inner_hosts import INNER_HOSTS
from tests.support.put_server import PutServer
from tests.support.uploads import QUICK, Reports, assert_stops_while_it_waits, make_request

from rvm_client.errors import StoppedError, UploadError, UsageError
from rvm_client.upload import Store, UploadProgress, presigned_store

FILE_BYTES = 3 * 1024 * 1024 + 17


@pytest.fixture
def server() -> Iterator[PutServer]:
    with PutServer() as running:
        yield running


def make_store(url: str) -> Store:
    return presigned_store(url, allow_private_addresses=True)


def test_the_file_arrives_with_its_length_and_type(server: PutServer, tmp_path: Path) -> None:
    request = make_request(tmp_path, FILE_BYTES)
    reports = Reports()
    store = make_store(server.upload_url("/bucket/out.mp4"))

    store.check()
    result = store.upload(request, on_progress=reports)

    stored = server.stored["/bucket/out.mp4"]
    assert stored.body == request.path.read_bytes()
    assert stored.headers["content-type"] == "video/mp4"
    assert stored.headers["content-length"] == str(FILE_BYTES)
    assert result.url == server.url("/bucket/out.mp4")
    assert requests.get(result.url, timeout=10).content == request.path.read_bytes()
    reports.assert_complete(FILE_BYTES)


@pytest.mark.parametrize(
    "fault",
    [
        faults.status(503),
        faults.status(429, headers={"Retry-After": "86400"}),
        faults.reset(),
        faults.lost(),
    ],
    ids=["503", "429", "dropped half way", "answer lost"],
)
def test_a_broken_put_starts_again(server: PutServer, tmp_path: Path, fault: faults.Answer) -> None:
    request = make_request(tmp_path, FILE_BYTES)
    server.answers(fault, faults.usual())
    reports = Reports()

    make_store(server.upload_url("/out.mp4")).upload(request, on_progress=reports)

    assert server.stored["/out.mp4"].body == request.path.read_bytes()
    assert len(server.requests) == 2
    reports.assert_complete(FILE_BYTES)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_final_and_shows_no_signature(
    server: PutServer, tmp_path: Path, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.answers(faults.status(status, body=server.signature.encode()))

    with pytest.raises(UploadError, match=rf"127.0.0.1:\d+/out.mp4 .*{status}") as e:
        make_store(server.upload_url("/out.mp4")).upload(make_request(tmp_path, 1000))

    assert len(server.requests) == 1
    # urllib3's own DEBUG lines name the whole path of a request; they are not to be shown.
    ours = [r.getMessage() for r in caplog.records if not r.name.startswith("urllib3")]
    assert server.signature not in str(e.value) + "".join(ours)


@pytest.mark.parametrize("fault", [faults.reset(), faults.status(500)])
def test_a_server_that_stays_broken_is_given_up(
    server: PutServer, tmp_path: Path, fault: faults.Answer
) -> None:
    server.answers(fault)

    with pytest.raises(UploadError, match="given up at attempt 4") as e:
        make_store(server.upload_url("/out.mp4")).upload(make_request(tmp_path, FILE_BYTES))

    assert len(server.requests) == QUICK.attempts
    assert server.signature not in str(e.value)
    assert server.signature not in "".join(traceback.format_exception(e.value))


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("inside", [None, "http://169.254.169.254/", "//10.0.0.1/"])
def test_a_redirect_is_not_followed(
    server: PutServer, tmp_path: Path, code: int, inside: str | None
) -> None:
    location = inside or server.upload_url("/other.mp4")
    server.answers(faults.status(code, headers={"Location": location}), faults.usual())

    with pytest.raises(UploadError, match=f"status {code}"):
        make_store(server.upload_url("/out.mp4")).upload(make_request(tmp_path, 1000))

    assert server.stored == {}
    assert len(server.requests) == 1


def test_cancelled_within_the_file(server: PutServer, tmp_path: Path) -> None:
    cancelled = threading.Event()

    def stop_half_way(progress: UploadProgress) -> None:
        if progress.sent_bytes:
            cancelled.set()

    with pytest.raises(StoppedError):
        make_store(server.upload_url("/out.mp4")).upload(
            make_request(tmp_path, FILE_BYTES), on_progress=stop_half_way, cancelled=cancelled
        )

    assert server.arrived.wait(30)
    assert len(server.requests) == 1
    assert server.stored == {}


def test_cancelled_while_waiting_to_try_again(
    server: PutServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = replace(QUICK, first_wait_s=600, longest_wait_s=600)
    monkeypatch.setattr("rvm_client.upload.presigned.BACKOFF", patient)
    server.answers(faults.status(503))
    store = make_store(server.upload_url("/out.mp4"))

    assert_stops_while_it_waits(store, make_request(tmp_path, 1000), server)


def test_a_name_that_leads_inside_is_refused_without_a_connection(
    server: PutServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda _host, *args, **kwargs: look_up("127.0.0.1", *args, **kwargs),
    )
    url = server.upload_url("/out.mp4").replace("127.0.0.1", "storage.example")

    with pytest.raises(UsageError, match=r"'storage\.example' is a loopback address"):
        presigned_store(url, allow_private_addresses=False).upload(make_request(tmp_path, 1000))

    assert server.requests == []


def test_nobody_at_the_address(tmp_path: Path) -> None:
    with PutServer() as gone:
        store = make_store(gone.upload_url("/out.mp4"))

    with pytest.raises(UploadError, match="broke or timed out"):
        store.upload(make_request(tmp_path, 1000))


def test_errors_that_hold_the_url_are_not_chained(server: PutServer, tmp_path: Path) -> None:
    # What requests says about a failed TLS handshake has the whole URL in it.
    store = make_store(server.upload_url("/out.mp4").replace("http:", "https:"))

    with pytest.raises(UploadError, match="broke or timed out") as e:
        store.upload(make_request(tmp_path, 1000))

    assert server.signature not in "".join(traceback.format_exception(e.value))


@pytest.mark.parametrize("host", INNER_HOSTS)
def test_inner_addresses_are_refused_in_every_spelling(host: str) -> None:
    with pytest.raises(UsageError, match=r"upload_url: .* only public addresses"):
        presigned_store(f"https://{host}:8443/x?sig=hidden", allow_private_addresses=False)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/x?sig=the-signature",
        "https://user:the-signature@example.org/x",
        "https:///x?sig=the-signature",
        "http://127.0.0.1/x?sig=the-signature",
        "http://[::ffff:169.254.169.254]/x?sig=the-signature",
        "http://[::1/x?sig=the-signature",
    ],
)
def test_urls_that_are_never_accepted(url: str) -> None:
    with pytest.raises(UsageError, match="upload_url: ") as e:
        presigned_store(url, allow_private_addresses=False)

    assert "the-signature" not in str(e.value)
