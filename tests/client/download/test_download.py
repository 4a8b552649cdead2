"""Downloads over real sockets, from a server that fails in all the ways servers fail."""

import errno
import gzip
import hashlib
import http.client
import inspect
import random
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import brotli  # type: ignore[import-untyped]
import pytest
import requests
import urllib3
from tests.support import http_faults as faults
from tests.support.certificates import Authority
from tests.support.http_faults import FaultyServer

from rvm_client.download import DownloadLimits, DownloadProgress, DownloadResult, download
from rvm_client.download.http_errors import network_error, storage_error
from rvm_client.errors import DownloadError, RvmError, StoppedError, UsageError
from rvm_client.net import Backoff, TransientError

pack_gzip = partial(gzip.compress, compresslevel=1)
# Too varied to compress, and larger than the buffers of a loopback connection.
CLIP = random.Random(7).randbytes(3_000_000)
SECRET = "X-Signature=topsecret"
QUICK = Backoff(attempts=4, first_wait_s=0.01, longest_wait_s=0.05)


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "clip.mp4"


def limits(**changes: Any) -> DownloadLimits:
    """Limits for loopback, with waits that a test can afford."""
    values: dict[str, Any] = {
        "connect_timeout_s": 5.0,
        "idle_timeout_s": 5.0,
        "total_timeout_s": 20.0,
        "backoff": QUICK,
        "allow_private_addresses": True,
    }
    return DownloadLimits(**{**values, **changes})


def tries(attempts: int) -> Backoff:
    return replace(QUICK, attempts=attempts)


def fetch(server: FaultyServer, target: Path, **changes: Any) -> DownloadResult:
    return download(server.url(f"/clip.mp4?{SECRET}"), target, limits(**changes))


def pack_brotli(data: bytes) -> bytes:
    packed: bytes = brotli.compress(data, quality=1)
    return packed


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def open_descriptors() -> int:
    return len(names_in(Path("/proc/self/fd"))) if sys.platform == "linux" else 0


def assert_is_clip(result: DownloadResult, target: Path) -> None:
    assert (result.path, result.bytes) == (target, len(CLIP))
    assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(CLIP).digest()
    assert names_in(target.parent) == [target.name]


def refused(server: FaultyServer, target: Path, **changes: Any) -> RvmError:
    """The error of a download that must fail and leave nothing, and tell no secret."""
    with pytest.raises(RvmError) as caught:
        fetch(server, target, **changes)
    assert_clean(caught.value, target)
    return caught.value


def assert_clean(error: BaseException, target: Path) -> None:
    assert "topsecret" not in "".join(traceback.format_exception(error))
    assert names_in(target.parent) == []


# What works


def test_a_file_arrives_whole(server: FaultyServer, target: Path) -> None:
    server.answers(faults.file(CLIP, {"Content-Type": "video/mp4"}))
    target.write_bytes(b"an older file")
    result = fetch(server, target)
    assert_is_clip(result, target)
    assert result.content_type == "video/mp4"
    assert result.seconds > 0
    assert server.requests[0].headers["Accept-Encoding"] == "identity"
    assert server.requests[0].path == f"/clip.mp4?{SECRET}"


@pytest.mark.parametrize("known", [True, False])
def test_progress_counts_up_to_the_end(server: FaultyServer, target: Path, known: bool) -> None:
    server.answers(faults.file(CLIP) if known else faults.chunked(CLIP))
    seen: list[DownloadProgress] = []
    download(server.url(), target, limits(), on_progress=seen.append)
    counts = [progress.received_bytes for progress in seen]
    assert counts == sorted(set(counts))
    assert counts[-1] == len(CLIP)
    assert {progress.total_bytes for progress in seen} == {len(CLIP) if known else None}


@pytest.mark.parametrize(
    ("encoding", "encode"), [("gzip", pack_gzip), ("x-gzip", pack_gzip),
                             ("br", pack_brotli)]
)  # fmt: skip
@pytest.mark.parametrize("answer", [faults.whole, faults.chunked])
def test_a_body_that_is_encoded_unasked_is_decoded(
    server: FaultyServer, target: Path, encoding: str, encode: Any, answer: Any
) -> None:
    server.answers(answer(encode(CLIP), {"Content-Encoding": encoding}))
    assert_is_clip(fetch(server, target), target)


def test_redirects_are_followed(server: FaultyServer, target: Path) -> None:
    server.answers(
        faults.redirect("/next"),
        faults.redirect(server.url("/last?a=b#fragment"), 308),
        faults.file(CLIP),
    )
    assert_is_clip(fetch(server, target), target)
    assert [r.path for r in server.requests] == [f"/clip.mp4?{SECRET}", "/next", "/last?a=b"]


def test_the_body_of_a_redirect_is_not_read(server: FaultyServer, target: Path) -> None:
    long = {"Location": "/next", "Content-Length": "1000000"}
    server.answers(faults.status(302, long), faults.file(CLIP))
    assert_is_clip(fetch(server, target, backoff=tries(1)), target)
    endless = faults.endless(bytes(65536), 0.0, {"Location": "/next"}, code=302)
    server.answers(endless, faults.file(CLIP))
    assert_is_clip(fetch(server, target, backoff=tries(1)), target)


def test_proxies_and_netrc_of_the_environment_are_not_used(
    server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path.parent / f"{tmp_path.name}.netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret")
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NETRC", str(netrc))
    server.answers(faults.file(CLIP))
    assert_is_clip(fetch(server, target), target)
    assert "Authorization" not in server.requests[0].headers


# Broken connections


@pytest.mark.parametrize(
    ("headers", "condition"),
    [
        ({"ETag": '"one"'}, '"one"'),
        ({"ETag": '"one"', "Last-Modified": "yesterday"}, '"one"'),
        ({"Last-Modified": "yesterday"}, "yesterday"),
        ({"ETag": 'W/"one"', "Last-Modified": "yesterday"}, "yesterday"),
        ({"ETag": 'W/"one"'}, None),
        ({}, None),
    ],
)
def test_a_broken_download_goes_on_where_it_broke(
    server: FaultyServer, target: Path, headers: dict[str, str], condition: str | None
) -> None:
    server.answers(
        faults.file(CLIP, headers, cut_after=1_000_000),
        faults.file(CLIP, headers, cut_after=500_000),
        faults.file(CLIP, headers),
    )
    assert_is_clip(fetch(server, target), target)
    ranges = [request.headers.get("Range") for request in server.requests]
    assert ranges == [None, "bytes=1000000-", "bytes=1500000-"]
    assert server.requests[1].headers.get("If-Range") == condition


def test_without_range_support_it_starts_anew(server: FaultyServer, target: Path) -> None:
    cut = {"Content-Length": str(len(CLIP)), "ETag": '"one"'}
    server.answers(faults.whole(CLIP[:1_000_000], cut), faults.whole(CLIP, cut))
    assert_is_clip(fetch(server, target), target)
    assert len(server.requests) == 2


def test_a_server_that_rules_ranges_out_is_not_asked(server: FaultyServer, target: Path) -> None:
    none = {"Accept-Ranges": "none", "ETag": '"one"'}
    server.answers(faults.file(CLIP, none, cut_after=1_000_000), faults.file(CLIP, none))
    assert_is_clip(fetch(server, target), target)
    assert "Range" not in server.requests[1].headers


def test_a_file_that_changed_starts_anew(server: FaultyServer, target: Path) -> None:
    server.answers(
        faults.file(CLIP[::-1], {"ETag": '"one"'}, cut_after=1_000_000),
        faults.file(CLIP, {"ETag": '"two"'}),
    )
    assert_is_clip(fetch(server, target), target)
    assert len(server.requests) == 2


@pytest.mark.parametrize("headers", [{"ETag": 'W/"two"'}, {}])
def test_a_changed_file_is_noticed_when_the_server_ignores_if_range(
    server: FaultyServer, target: Path, headers: dict[str, str]
) -> None:
    # Another weak ETag, or another length, is all there is to tell them apart.
    old = CLIP[::-1] if headers else CLIP[::-1] + b"longer"
    server.answers(
        faults.file(old, {"ETag": 'W/"one"'} if headers else {}, cut_after=1_000_000),
        faults.file(CLIP, headers),
    )
    assert_is_clip(fetch(server, target), target)
    assert [r.headers.get("Range") for r in server.requests] == [None, "bytes=1000000-", None]


def test_a_file_that_became_shorter_starts_anew(server: FaultyServer, target: Path) -> None:
    longer = CLIP[::-1] + CLIP
    server.answers(faults.file(longer, cut_after=4_000_000), faults.file(CLIP))
    assert_is_clip(fetch(server, target, backoff=tries(2)), target)
    assert len(server.requests) == 3  # the second got 416


def test_an_encoded_body_is_never_resumed(server: FaultyServer, target: Path) -> None:
    packed, headers = pack_gzip(CLIP), {"Content-Encoding": "gzip", "ETag": '"one"'}
    server.answers(faults.file(packed, headers, cut_after=2_000_000), faults.file(packed, headers))
    assert_is_clip(fetch(server, target), target)
    assert "Range" not in server.requests[1].headers


def test_the_rest_in_another_encoding_starts_anew(server: FaultyServer, target: Path) -> None:
    etag = {"ETag": '"one"'}
    server.answers(
        faults.file(CLIP, etag, cut_after=1_000_000),
        faults.file(pack_gzip(CLIP), {**etag, "Content-Encoding": "gzip"}),
    )
    assert_is_clip(fetch(server, target), target)


@pytest.mark.parametrize(
    "lie",
    [
        {"Content-Encoding": "gzip"},
        {"Content-Range": f"bytes 0-1999999/{len(CLIP)}"},
        {"Content-Range": f"bytes 1000000-{len(CLIP) - 1}/*"},
        {"Content-Range": "nonsense"},
    ],
)
def test_a_part_that_cannot_be_appended_starts_anew(
    server: FaultyServer, target: Path, lie: dict[str, str]
) -> None:
    server.answers(
        faults.file(CLIP, cut_after=1_000_000), faults.file(CLIP, lie), faults.file(CLIP)
    )
    assert_is_clip(fetch(server, target), target)
    assert [r.headers.get("Range") for r in server.requests] == [None, "bytes=1000000-", None]


def test_a_part_shorter_than_asked_for_is_continued(server: FaultyServer, target: Path) -> None:
    server.answers(
        faults.file(CLIP, cut_after=1_000_000),
        faults.file(CLIP, part_bytes=500_000),
        faults.file(CLIP),
    )
    assert_is_clip(fetch(server, target), target)
    assert server.requests[2].headers["Range"] == "bytes=1500000-"


def test_an_unfinished_chunked_body_is_noticed(server: FaultyServer, target: Path) -> None:
    server.answers(faults.chunked(CLIP[:1_000_000], unfinished=True), faults.chunked(CLIP))
    assert_is_clip(fetch(server, target), target)


@pytest.mark.parametrize(
    "fault",
    [faults.reset(), faults.raw(b""), faults.status(503), faults.status(500), faults.status(408)],
)
def test_passing_faults_are_tried_again(
    server: FaultyServer, target: Path, fault: faults.Answer
) -> None:
    server.answers(fault, fault, faults.file(CLIP))
    assert_is_clip(fetch(server, target), target)
    assert len(server.requests) == 3


def test_a_server_that_falls_silent_is_left_and_resumed(server: FaultyServer, target: Path) -> None:
    server.answers(faults.silent(CLIP[:400_000]), faults.file(CLIP[:1_000_000]))
    result = fetch(server, target, idle_timeout_s=0.2)
    assert result.bytes == 1_000_000
    assert target.read_bytes() == CLIP[:1_000_000]
    assert server.requests[1].headers["Range"] == "bytes=400000-"


def test_attempts_are_counted_and_the_last_reason_is_told(
    server: FaultyServer, target: Path
) -> None:
    server.answers(faults.status(503))
    error = refused(server, target, backoff=tries(3))
    assert type(error) is DownloadError
    assert len(server.requests) == 3
    assert str(error) == (
        f"127.0.0.1:{server.port}/clip.mp4 answered 503 Service Unavailable; given up at attempt 3"
    )


@pytest.mark.parametrize("code", [404, 503, 599])
def test_the_server_s_own_words_stay_out_of_the_message(
    server: FaultyServer, target: Path, code: int
) -> None:
    server.answers(faults.raw(f"HTTP/1.1 {code} \x1b[31mtopsecret\x07\r\n\r\n".encode()))
    error = refused(server, target, backoff=tries(1))
    assert f"clip.mp4 answered {code}" in str(error)
    assert str(error).isprintable()


def test_a_body_that_is_always_too_short_fails(server: FaultyServer, target: Path) -> None:
    server.answers(faults.whole(b"short", {"Content-Length": "100"}))
    assert "the connection to" in str(refused(server, target, backoff=tries(2)))
    assert len(server.requests) == 2


# Waiting


def test_retry_after_is_waited_for_up_to_its_bound(server: FaultyServer, target: Path) -> None:
    server.answers(faults.status(429, {"Retry-After": "86400"}), faults.file(CLIP))
    result = fetch(server, target, backoff=replace(QUICK, longest_retry_after_s=0.4))
    assert_is_clip(result, target)
    assert result.seconds >= 0.4  # without the header it would be 0.02 at most


@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.parametrize(
    "value",
    ["-5", "soon", "", "9" * 5000, "Fri, 31 Dec 99999 23:59:59 GMT"],
    ids=["negative", "a word", "empty", "5000 digits", "the year 99999"],
)
def test_an_unreasonable_retry_after_does_not_hold_it_up(
    server: FaultyServer, target: Path, code: int, value: str
) -> None:
    server.answers(faults.status(code, {"Retry-After": value}), faults.file(CLIP))
    assert_is_clip(fetch(server, target), target)


def test_it_does_not_wait_for_an_attempt_that_cannot_come(
    server: FaultyServer, target: Path
) -> None:
    server.answers(faults.status(429, {"Retry-After": "3600"}))
    started_s = time.monotonic()
    patient = replace(QUICK, longest_retry_after_s=3600.0)
    assert "429" in str(refused(server, target, backoff=patient, total_timeout_s=60.0))
    assert time.monotonic() - started_s < 30
    assert len(server.requests) == 1


# Answers that are final


@pytest.mark.parametrize("code", [204, 304, 400, 401, 403, 404, 410, 416])
def test_other_answers_are_final(server: FaultyServer, target: Path, code: int) -> None:
    server.answers(faults.status(code))
    assert f"127.0.0.1:{server.port}/clip.mp4 answered {code}" in str(refused(server, target))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (faults.whole(b""), "is empty"),
        (faults.whole(b"x", {"Content-Encoding": "compress"}), "'compress', which cannot be"),
        (faults.whole(b"not gzip", {"Content-Encoding": "gzip"}), "match its Content-Encoding"),
        (faults.whole(b"not brotli" * 9, {"Content-Encoding": "br"}), "match its Content-Enc"),
        (faults.redirect("ftp://example.com/?topsecret"), "redirects elsewhere, and the URL must"),
        (faults.redirect("http://me:topsecret@127.0.0.1/"), "user name or password"),
        (faults.redirect("http://[::1/?topsecret"), "not a URL"),
        (faults.redirect("http://127.0.0.1:0x50/?topsecret"), "cannot be read"),
        (faults.redirect("/again"), "still a redirect after 5 redirects"),
    ],
)
def test_unusable_answers_are_final(
    server: FaultyServer, target: Path, answer: faults.Answer, sentence: str
) -> None:
    server.answers(answer)
    assert sentence in str(refused(server, target))
    assert len(server.requests) == (6 if "again" in sentence or "5 redirects" in sentence else 1)


def test_a_part_that_was_not_asked_for_is_refused(server: FaultyServer, target: Path) -> None:
    server.answers(faults.status(206, {"Content-Range": "bytes 0-9/10"}))
    assert "answered 206" in str(refused(server, target))


# Size


def test_the_limit_itself_is_allowed(server: FaultyServer, target: Path) -> None:
    server.answers(faults.file(CLIP))
    assert_is_clip(fetch(server, target, max_bytes=len(CLIP)), target)


@pytest.mark.parametrize(
    "answer",
    [
        faults.file(CLIP),
        faults.chunked(CLIP),
        faults.whole(pack_gzip(CLIP), {"Content-Encoding": "gzip"}),
        faults.endless(bytes(65536), 0.0),
    ],
)
def test_what_is_larger_than_the_limit_is_refused(
    server: FaultyServer, target: Path, answer: faults.Answer
) -> None:
    server.answers(answer)
    error = refused(server, target, max_bytes=len(CLIP) - 1)
    assert "larger than the limit of 2999999 bytes" in str(error)
    assert len(server.requests) == 1


def test_a_length_above_the_limit_is_refused_before_the_body(
    server: FaultyServer, target: Path
) -> None:
    server.answers(faults.silent())  # promises 1 000 000 bytes and sends none
    assert "larger than" in str(refused(server, target, max_bytes=999_999))


BOMB_SCRIPT = """
import resource, sys
from pathlib import Path
from rvm_client.download.download import DownloadLimits, download
from rvm_client.errors import DownloadError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
limits = DownloadLimits(max_bytes=20_000_000, allow_private_addresses=True)
try:
    download(sys.argv[1], Path(sys.argv[2]), limits)
except DownloadError as exc:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, exc)
"""


@pytest.mark.parametrize(
    ("encoding", "encode"), [("gzip", pack_gzip), ("br", pack_brotli),
                             ("gzip, br", lambda data: pack_brotli(pack_gzip(data)))]
)  # fmt: skip
def test_a_bomb_neither_fills_the_disk_nor_the_memory(
    server: FaultyServer, target: Path, encoding: str, encode: Any
) -> None:
    server.answers(faults.whole(encode(bytes(100_000_000)), {"Content-Encoding": encoding}))
    done = subprocess.run(
        [sys.executable, "-c", BOMB_SCRIPT, server.url(), str(target)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    grown_kib, sentence = done.stdout.split(maxsplit=1)
    assert "larger than the limit of 20000000 bytes" in sentence
    assert int(grown_kib) < 60_000
    assert names_in(target.parent) == []


# Time


@pytest.mark.parametrize(
    "answer",
    [
        faults.endless(b"x", 0.05),
        faults.endless_head(0.05),
        faults.silent(),
        faults.endless(b"x", 0.05, {"Content-Length": "1000000"}),
        faults.endless(b"", 0.05),
    ],
)
def test_the_total_limit_holds_against_a_slow_server(
    server: FaultyServer, target: Path, answer: faults.Answer
) -> None:
    server.answers(answer)
    error = refused(server, target, total_timeout_s=0.2)
    assert str(error).startswith("the download took longer than the limit of 0.2 s")


def test_a_server_that_never_answers_is_given_up(server: FaultyServer, target: Path) -> None:
    server.answers(faults.silent())
    error = refused(server, target, idle_timeout_s=0.1, backoff=tries(2))
    assert "stopped sending; given up at attempt 2" in str(error)


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port whose queue is full: a connection to it is neither made nor refused."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        yield port
        for sock in waiting:
            sock.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse when a queue is full")
def test_connecting_has_its_own_limit(deaf_port: int, target: Path) -> None:
    changed = limits(connect_timeout_s=0.1, backoff=tries(2))
    with pytest.raises(DownloadError, match="did not answer in time; given up at attempt 2"):
        download(f"http://127.0.0.1:{deaf_port}/", target, changed)


def test_a_slow_look_up_has_a_limit_too(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hold = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: hold.wait(20) and [])
    try:
        with pytest.raises(DownloadError, match="could not be resolved"):
            download(
                "http://slow.example/", target, limits(connect_timeout_s=0.1, backoff=tries(2))
            )
    finally:
        hold.set()


def test_nobody_listens(target: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/clip.mp4?{SECRET}"
        with pytest.raises(DownloadError, match="does not accept connections") as caught:
            download(url, target, limits(backoff=tries(2)))
    assert_clean(caught.value, target)


@pytest.mark.parametrize(("code", "looked_up"), [(socket.EAI_NONAME, 1), (socket.EAI_AGAIN, 3)])
def test_only_a_passing_failure_of_the_resolver_is_tried_again(
    target: Path, monkeypatch: pytest.MonkeyPatch, code: int, looked_up: int
) -> None:
    calls: list[str] = []

    def getaddrinfo(host: str, *_: Any, **__: Any) -> Any:
        calls.append(host)
        raise socket.gaierror(code, "from the test")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(DownloadError, match=r"missing\.example/clip\.mp4 could not be resolved"):
        download("http://missing.example/clip.mp4", target, limits(backoff=tries(3)))
    assert calls == ["missing.example"] * looked_up


# Cancellation


def cancel_soon(cancelled: threading.Event, server: FaultyServer) -> None:
    server.arrived.wait(10)
    cancelled.set()


@pytest.mark.parametrize(
    "answer",
    [
        faults.silent(CLIP[:100_000]),
        faults.endless(bytes(65536), 0.01),
        faults.endless(b"", 0.05),
        faults.endless_head(0.05),
        faults.status(429, {"Retry-After": "60"}),
    ],
)
def test_cancelling_stops_it_wherever_it_waits(
    server: FaultyServer, target: Path, answer: faults.Answer
) -> None:
    server.answers(answer)
    cancelled = threading.Event()
    canceller = threading.Thread(target=cancel_soon, args=(cancelled, server))
    canceller.start()
    started_s = time.monotonic()
    patient = limits(idle_timeout_s=60.0, total_timeout_s=120.0)
    with pytest.raises(StoppedError) as caught:
        download(server.url(f"/?{SECRET}"), target, patient, cancelled=cancelled)
    canceller.join()
    assert time.monotonic() - started_s < 30  # none of the limits above has run out
    assert_clean(caught.value, target)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse when a queue is full")
def test_cancelling_stops_it_while_it_connects(deaf_port: int, target: Path) -> None:
    cancelled = threading.Event()
    timer = threading.Timer(0.1, cancelled.set)
    timer.start()
    started_s = time.monotonic()
    with pytest.raises(StoppedError):
        download(
            f"http://127.0.0.1:{deaf_port}/", target,
            limits(connect_timeout_s=60.0, total_timeout_s=120.0), cancelled=cancelled,
        )  # fmt: skip
    timer.join()
    assert time.monotonic() - started_s < 30


def test_cancelling_stops_it_during_a_look_up(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, cancelled = threading.Event(), threading.Event()

    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        cancelled.set()
        hold.wait(20)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    started_s = time.monotonic()
    with pytest.raises(StoppedError):
        download(
            "http://slow.example/", target, limits(connect_timeout_s=60.0), cancelled=cancelled
        )
    assert time.monotonic() - started_s < 15  # the look-up itself would have taken 20
    hold.set()


def test_cancelled_before_it_began(server: FaultyServer, target: Path) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(StoppedError):
        download(server.url(), target, limits(), cancelled=cancelled)
    assert server.requests == []
    assert names_in(target.parent) == []


def test_no_thread_or_descriptor_is_left(server: FaultyServer, target: Path) -> None:
    server.answers(faults.file(CLIP, cut_after=1_000_000), faults.file(CLIP))
    fetch(server, target)
    descriptors = open_descriptors()
    for _ in range(5):
        server.answers(faults.redirect("/a"), faults.status(503), faults.file(CLIP))
        fetch(server, target)
    names = {thread.name for thread in threading.enumerate()}
    assert not names & {"deadline", "name look-up"}
    assert open_descriptors() <= descriptors


# The disk


def test_a_failure_keeps_an_older_file(server: FaultyServer, target: Path) -> None:
    target.write_bytes(b"an older file")
    server.answers(faults.status(404))
    with pytest.raises(DownloadError):
        fetch(server, target)
    assert target.read_bytes() == b"an older file"
    assert names_in(target.parent) == [target.name]


def test_an_error_of_the_callback_is_passed_on_unchanged(
    server: FaultyServer, target: Path
) -> None:
    server.answers(faults.file(CLIP))

    def fail(_: DownloadProgress) -> None:
        raise ConnectionResetError("of the callback")

    with pytest.raises(ConnectionResetError, match="of the callback"):
        download(server.url(), target, limits(), on_progress=fail)
    assert names_in(target.parent) == []
    assert len(server.requests) == 1


def test_a_missing_folder_is_named(server: FaultyServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="gone: No such file or directory"):
        fetch(server, tmp_path / "gone" / "clip.mp4")
    assert server.requests == []


FULL_DISK_SCRIPT = """
import resource, sys
from pathlib import Path
from rvm_client.download.download import DownloadLimits, download
from rvm_client.errors import DownloadError
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    download(sys.argv[1], Path(sys.argv[2]), DownloadLimits(allow_private_addresses=True))
except DownloadError as exc:
    print(exc)
"""


def test_a_disk_without_room_is_told_at_once(server: FaultyServer, target: Path) -> None:
    server.answers(faults.file(CLIP))
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK_SCRIPT, server.url(), str(target)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.startswith("no room left for the download in ")
    assert len(server.requests) == 1
    assert names_in(target.parent) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_other_ways_to_have_no_room(code: int, target: Path) -> None:
    assert "no room left" in str(storage_error(OSError(code, "from the test"), target))


# The guard


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "[::1]"])
def test_a_loopback_server_is_not_reached(server: FaultyServer, target: Path, host: str) -> None:
    with pytest.raises(UsageError, match="loopback"):
        download(server.url(host=host), target, limits(allow_private_addresses=False))
    assert server.requests == []


class Network:
    """Names and routes of a network that a test makes up, put in the place of the system's.

    Each look-up of NAME.example takes the next of its lists of addresses. 8.8.8.8 is a public
    address that leads to the server under test, as a load balancer's would.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **names: list[list[str]]) -> None:
        self._names = {f"{name}.example": list(answers) for name, answers in names.items()}
        self.looked_up: list[str] = []
        self.dialled: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)
        connect = socket.socket.connect

        def routed(sock: socket.socket, address: tuple[str, int]) -> None:
            self.dialled.append(address[0])
            connect(sock, ("127.0.0.1" if address[0] == "8.8.8.8" else address[0], address[1]))

        monkeypatch.setattr(socket.socket, "connect", routed)

    def _getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        self.looked_up.append(host)
        answers = self._names[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in addresses]


def fetch_guarded(server: FaultyServer, target: Path, **changes: Any) -> DownloadResult:
    url = server.url(f"/clip.mp4?{SECRET}", host="clips.example")
    return download(url, target, limits(allow_private_addresses=False, **changes))


def test_a_public_name_is_fetched(
    server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Network(monkeypatch, clips=[["8.8.8.8"]])
    server.answers(faults.file(CLIP))
    assert_is_clip(fetch_guarded(server, target), target)
    assert server.requests[0].headers["Host"] == f"clips.example:{server.port}"


def test_a_name_that_leads_inside_is_refused(
    server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(monkeypatch, clips=[["8.8.8.8", "127.0.0.1"]])
    with pytest.raises(UsageError, match=r"'clips\.example' is a loopback address") as caught:
        fetch_guarded(server, target)
    assert network.dialled == []
    assert_clean(caught.value, target)


def test_a_name_that_changes_its_address_gains_nothing(
    server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Public when it is checked, loopback ever after: whoever looks it up twice is caught.
    network = Network(monkeypatch, clips=[["8.8.8.8"], ["127.0.0.1"]])
    server.answers(faults.file(CLIP))
    assert_is_clip(fetch_guarded(server, target), target)
    assert network.looked_up == ["clips.example"]
    assert network.dialled == ["8.8.8.8"]


def test_a_retry_checks_again(
    server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(monkeypatch, clips=[["8.8.8.8"], ["127.0.0.1"]])
    server.answers(faults.status(503), faults.file(CLIP))
    with pytest.raises(UsageError, match="loopback"):
        fetch_guarded(server, target)
    assert network.dialled == ["8.8.8.8"]
    assert names_in(target.parent) == []


@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.1:{port}/", "http://0x7f.1:{port}/", "//inside.example:{port}/",
     "http://[::ffff:127.0.0.1]:{port}/", "http://localhost:{port}/", "http://169.254.169.254/"],
)  # fmt: skip
def test_a_redirect_inside_is_refused(
    server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    network = Network(monkeypatch, clips=[["8.8.8.8"]], inside=[["10.0.0.1"]])
    server.answers(faults.redirect(location.format(port=server.port)), faults.file(CLIP))
    with pytest.raises(UsageError, match="only public addresses") as caught:
        fetch_guarded(server, target)
    assert network.dialled == ["8.8.8.8"]
    assert_clean(caught.value, target)


@pytest.mark.parametrize("answers", [[["8.8.8.8"]], [["8.8.8.8"], ["127.0.0.1"]]])
def test_a_redirect_to_the_same_name_is_checked_for_each_connection(
    server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch, answers: list[list[str]]
) -> None:
    Network(monkeypatch, clips=answers)
    server.answers(faults.redirect("/next"), faults.file(CLIP))
    if len(answers) == 1:
        assert_is_clip(fetch_guarded(server, target), target)
    else:
        with pytest.raises(UsageError, match="loopback"):
            fetch_guarded(server, target)


@pytest.fixture
def authority(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Authority:
    made = Authority(tmp_path_factory.mktemp("authority"))
    monkeypatch.setattr(requests.adapters, "DEFAULT_CA_BUNDLE_PATH", str(made.path))
    return made


def test_tls_is_made_with_the_name_and_not_the_address(
    target: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    Network(monkeypatch, clips=[["8.8.8.8"]])
    context, asked_for = authority.server_context("clips.example"), []
    context.sni_callback = lambda _, name, __: asked_for.append(name)
    with FaultyServer(tls=context) as server:
        server.answers(faults.file(CLIP, cut_after=1_000_000), faults.file(CLIP))
        assert_is_clip(fetch_guarded(server, target), target)
    assert asked_for == ["clips.example"] * 2


def test_a_certificate_of_another_name_is_refused_at_once(
    target: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(monkeypatch, clips=[["8.8.8.8"]])
    with FaultyServer(tls=authority.server_context("other.example")) as server:
        with pytest.raises(DownloadError, match=r"certificate of clips\.example") as caught:
            fetch_guarded(server, target)
        assert server.requests == []
    assert network.dialled == ["8.8.8.8"]
    assert_clean(caught.value, target)


@pytest.mark.usefixtures("authority")
def test_a_plain_server_behind_https_is_an_error_of_the_connection(
    server: FaultyServer, target: Path
) -> None:
    with pytest.raises(DownloadError, match="no secure connection to"):
        download(server.url().replace("http:", "https:"), target, limits(backoff=tries(2)))


def test_https_never_becomes_http(
    target: Path, server: FaultyServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    Network(monkeypatch, clips=[["8.8.8.8"]])
    with FaultyServer(tls=authority.server_context("clips.example")) as secure:
        secure.answers(faults.redirect(server.url(host="clips.example")))
        with pytest.raises(DownloadError, match="redirects from https to http"):
            fetch_guarded(secure, target)
    assert server.requests == []


def test_cancelling_breaks_a_tls_connection_too(
    target: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    Network(monkeypatch, clips=[["8.8.8.8"]])
    cancelled = threading.Event()
    with FaultyServer(tls=authority.server_context("clips.example")) as secure:
        secure.answers(faults.silent(CLIP[:100_000]))
        canceller = threading.Thread(target=cancel_soon, args=(cancelled, secure))
        canceller.start()
        started_s = time.monotonic()
        with pytest.raises(StoppedError):
            download(
                secure.url(host="clips.example"), target,
                limits(idle_timeout_s=60.0, total_timeout_s=120.0), cancelled=cancelled,
            )  # fmt: skip
        canceller.join()
    assert time.monotonic() - started_s < 30
    assert names_in(target.parent) == []


def test_the_next_address_is_tried_when_one_does_not_answer(
    server: FaultyServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first address does not answer on that port; the second one does.
    Network(monkeypatch, clips=[["127.0.0.2", "127.0.0.1"]])
    server.answers(faults.file(CLIP))
    assert_is_clip(download(server.url(host="clips.example"), target, limits()), target)
    assert server.requests[0].headers["Host"] == f"clips.example:{server.port}"


# The mapping of foreign exceptions


def _foreign() -> list[type[BaseException]]:
    modules = (requests.exceptions, urllib3.exceptions, http.client, socket)
    named = chain.from_iterable(vars(module).values() for module in modules)
    found = {*filter(inspect.isclass, chain(named, vars(ssl).values()))}
    errors = {c for c in found if issubclass(c, Exception) and not issubclass(c, Warning)}
    network = (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError)
    chosen = {c for c in errors if issubclass(c, (*network, UnicodeError))}
    return sorted(chosen, key=lambda c: f"{c.__module__}.{c.__qualname__}")


@pytest.mark.parametrize("kind", _foreign(), ids=lambda c: f"{c.__module__}.{c.__qualname__}")
def test_every_foreign_exception_becomes_ours(
    kind: type[BaseException], target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = kind.__new__(kind, "topsecret")

    def send(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(requests.Session, "send", send)
    with pytest.raises((DownloadError, UsageError), match=r"clips\.example/clip\.mp4") as caught:
        download(f"http://clips.example/clip.mp4?{SECRET}", target, limits(backoff=tries(1)))
    assert "topsecret" not in str(caught.value)
    assert names_in(target.parent) == []


@pytest.mark.parametrize(
    "kind",
    [
        TimeoutError,
        BrokenPipeError,
        ConnectionRefusedError,
        ConnectionResetError,
        http.client.BadStatusLine,
        http.client.IncompleteRead,
        http.client.RemoteDisconnected,
        ssl.SSLError,
        ssl.SSLEOFError,
        urllib3.exceptions.ConnectTimeoutError,
        urllib3.exceptions.IncompleteRead,
        urllib3.exceptions.InvalidChunkLength,
        urllib3.exceptions.MaxRetryError,
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ProtocolError,
        urllib3.exceptions.ReadTimeoutError,
        urllib3.exceptions.SSLError,
        requests.exceptions.ChunkedEncodingError,
        requests.exceptions.ConnectionError,
        requests.exceptions.ConnectTimeout,
        requests.exceptions.ReadTimeout,
        requests.exceptions.SSLError,
    ],
)
def test_what_may_pass(kind: type[BaseException]) -> None:
    assert type(network_error(kind.__new__(kind), "clips.example/a")) is TransientError


@pytest.mark.parametrize(
    ("kind", "ours"),
    [
        (OSError, DownloadError),
        (http.client.LineTooLong, DownloadError),
        (http.client.UnknownProtocol, DownloadError),
        (socket.gaierror, DownloadError),
        (ssl.SSLCertVerificationError, DownloadError),
        (urllib3.exceptions.DecodeError, DownloadError),
        (urllib3.exceptions.InvalidHeader, DownloadError),
        (urllib3.exceptions.NameResolutionError, DownloadError),
        (requests.exceptions.InvalidHeader, DownloadError),
        (requests.exceptions.TooManyRedirects, DownloadError),
        (UnicodeError, UsageError),
        (urllib3.exceptions.LocationParseError, UsageError),
        (requests.exceptions.InvalidSchema, UsageError),
        (requests.exceptions.InvalidURL, UsageError),
    ],
)
def test_what_is_final(kind: type[BaseException], ours: type[RvmError]) -> None:
    assert type(network_error(kind.__new__(kind), "clips.example/a")) is ours


def test_an_unknown_error_of_the_system_is_final() -> None:
    error = network_error(OSError(errno.EPERM, "from the test"), "clips.example/a")
    assert type(error) is DownloadError
    assert str(error) == "clips.example/a could not be fetched"


@pytest.mark.parametrize("name", ["max_bytes", "connect_timeout_s", "total_timeout_s"])
def test_limits_are_checked(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} must be above 0, got 0"):
        limits(**{name: 0})
