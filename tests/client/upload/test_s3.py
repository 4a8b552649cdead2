"""boto3 against moto's S3 over real sockets, with faults put in between."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import SecretStr
from tests.support import http_faults as faults
from tests.support.s3_server import S3Front, emptied_s3, running_moto
from tests.support.uploads import Reports, make_request

from rvm_client.config import Settings
from rvm_client.errors import ConfigError, StoppedError, UploadError, UsageError
from rvm_client.upload import Store, UploadProgress, bucket_store, choose_store
from rvm_client.upload.store import CHUNK_BYTES

THREE_PARTS = 2 * CHUNK_BYTES + 12345
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>"


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    with running_moto() as url:
        yield url


@pytest.fixture
def s3(moto_url: str) -> Iterator[Any]:
    """A client of moto's own, with an empty bucket "results"."""
    with emptied_s3(moto_url, "results") as client:
        yield client


@pytest.fixture
def front(s3: Any, moto_url: str) -> Iterator[S3Front]:
    del s3
    with S3Front(moto_url) as running:
        yield running


def make_store(front: S3Front, bucket: str = "results") -> Store:
    return choose_store(
        Settings(
            bucket_endpoint_url=SecretStr(front.base_url),
            bucket_access_key_id=SecretStr("the-key-id"),
            bucket_secret_access_key=SecretStr("the-secret"),
            bucket_name=bucket,
        )
    )


def make_job_store(front: S3Front, bucket: str = "results") -> Store:
    """As a job's own bucket, with the guard before each connection."""
    return bucket_store(
        front.base_url, bucket, "the-key-id", "the-secret", allow_private_addresses=True
    )


MakeStore = Callable[[S3Front], Store]
OF_BOTH = pytest.mark.parametrize("make", [make_store, make_job_store], ids=["worker's", "job's"])


def stored(s3: Any) -> dict[str, Any]:
    found: dict[str, Any] = s3.get_object(Bucket="results", Key="rvm-output/result-1.mp4")
    return found


def assert_nothing_left(s3: Any) -> None:
    assert s3.list_objects_v2(Bucket="results")["KeyCount"] == 0
    assert not s3.list_multipart_uploads(Bucket="results").get("Uploads")


@OF_BOTH
def test_a_large_file_goes_up_in_parts(
    s3: Any, front: S3Front, tmp_path: Path, make: MakeStore
) -> None:
    request = make_request(tmp_path, THREE_PARTS)
    reports = Reports()

    result = make(front).upload(request, on_progress=reports)

    found = stored(s3)
    assert found["Body"].read() == request.path.read_bytes()
    assert found["ContentType"] == "video/mp4"
    assert sum("partNumber" in sent.path for sent in front.requests) == 3
    assert requests.get(result.url, timeout=10).content == request.path.read_bytes()
    assert "X-Amz-Expires=604800" in result.url
    assert (result.bytes, result.store) == (THREE_PARTS, "S3")
    reports.assert_complete(THREE_PARTS)


def test_a_small_file_is_one_request(s3: Any, front: S3Front, tmp_path: Path) -> None:
    request = make_request(tmp_path, 1000)
    reports = Reports()

    make_store(front).upload(request, on_progress=reports)

    assert stored(s3)["Body"].read() == request.path.read_bytes()
    assert [sent.method for sent in front.requests] == ["PUT"]
    reports.assert_complete(1000)


@OF_BOTH
@pytest.mark.parametrize(
    "fault", [faults.status(503, body=SLOW_DOWN), faults.reset(), faults.lost()]
)
def test_a_part_that_fails_once_is_sent_again(
    s3: Any, front: S3Front, tmp_path: Path, fault: faults.Answer, make: MakeStore
) -> None:
    request = make_request(tmp_path, THREE_PARTS)
    # The first request opens the multipart upload.
    front.answers(faults.usual(), fault, faults.usual())
    reports = Reports()

    make(front).upload(request, on_progress=reports)

    assert stored(s3)["Body"].read() == request.path.read_bytes()
    assert sum("partNumber" in sent.path for sent in front.requests) == 4
    reports.assert_complete(THREE_PARTS)


def test_a_refused_part_takes_the_whole_upload_back(
    s3: Any, front: S3Front, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    body = b"<Error><Code>EntityTooLarge</Code><Message>the-secret</Message></Error>"
    front.answers(faults.usual(), faults.usual(), faults.status(400, body=body), faults.usual())

    with pytest.raises(UploadError, match=r"bucket 'results' .* \(EntityTooLarge\)") as e:
        make_store(front).upload(make_request(tmp_path, THREE_PARTS))

    assert_nothing_left(s3)
    assert "the-secret" not in str(e.value) + caplog.text


@OF_BOTH
def test_cancelled_within_the_parts(
    s3: Any, front: S3Front, tmp_path: Path, make: MakeStore
) -> None:
    cancelled = threading.Event()

    def stop_early(progress: UploadProgress) -> None:
        if progress.sent_bytes:
            cancelled.set()

    with pytest.raises(StoppedError):
        make(front).upload(
            make_request(tmp_path, 8 * CHUNK_BYTES), on_progress=stop_early, cancelled=cancelled
        )

    assert_nothing_left(s3)


@OF_BOTH
def test_nobody_at_the_address(s3: Any, moto_url: str, tmp_path: Path, make: MakeStore) -> None:
    del s3
    with S3Front(moto_url) as gone:
        store = make(gone)

    with pytest.raises(UploadError, match="could not be reached"):
        store.upload(make_request(tmp_path, 1000))
    with pytest.raises(UploadError, match="could not be reached"):
        store.check()


def test_check_accepts_the_bucket(front: S3Front) -> None:
    make_store(front).check()


def test_a_bucket_that_does_not_exist(front: S3Front, tmp_path: Path) -> None:
    store = make_store(front, bucket="missing")

    with pytest.raises(ConfigError, match="there is no bucket 'missing'"):
        store.check()
    with pytest.raises(ConfigError, match="there is no bucket 'missing'"):
        store.upload(make_request(tmp_path, 1000))


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "SignatureDoesNotMatch"])
def test_refused_credentials_fail_at_once(front: S3Front, tmp_path: Path, code: str) -> None:
    body = f"<Error><Code>{code}</Code><Message>the-key-id the-secret</Message></Error>"
    front.answers(faults.status(403, body=body.encode()))
    store = make_store(front)

    with pytest.raises(ConfigError, match="check BUCKET_ACCESS_KEY_ID") as e:
        store.check()
    with pytest.raises(ConfigError, match="check BUCKET_ACCESS_KEY_ID"):
        store.upload(make_request(tmp_path, 1000))

    assert len(front.requests) == 2
    assert "the-" not in str(e.value)


def test_a_key_that_may_write_and_not_list_is_good_enough(front: S3Front) -> None:
    front.answers(faults.status(403, body=b"<Error><Code>AccessDenied</Code></Error>"))

    make_store(front).check()


# --- A job's own bucket


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("SignatureDoesNotMatch", "check s3Config.accessId and s3Config.accessSecret"),
        ("NoSuchBucket", "check s3Config.endpointUrl and s3Config.bucketName"),
    ],
)
def test_a_refusal_names_the_fields_of_the_job(
    front: S3Front, tmp_path: Path, code: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    body = f"<Error><Code>{code}</Code><Message>the-key-id the-secret</Message></Error>"
    front.answers(faults.status(403, body=body.encode()))

    with pytest.raises(ConfigError, match=message) as e:
        make_job_store(front).upload(make_request(tmp_path, 1000))

    assert "the-" not in str(e.value) + caplog.text


def test_names_of_files_are_signed_as_they_are_sent(
    s3: Any, front: S3Front, tmp_path: Path
) -> None:
    request = make_request(tmp_path, 1000, folder="für mich/a~b")

    result = make_job_store(front).upload(request)

    key = "für mich/a~b/result-1.mp4"
    assert s3.get_object(Bucket="results", Key=key)["ContentLength"] == 1000
    assert front.requests[0].path == "/results/f%C3%BCr%20mich/a~b/result-1.mp4"
    assert requests.get(result.url, timeout=10).content == request.path.read_bytes()


def test_a_redirect_is_not_followed_to_where_it_leads(front: S3Front, tmp_path: Path) -> None:
    front.answers(faults.status(307, headers={"Location": front.url("/elsewhere")}))

    with pytest.raises(UploadError, match="refused the upload"):
        make_job_store(front).upload(make_request(tmp_path, 1000))

    assert {sent.path for sent in front.requests} == {"/results/rvm-output/result-1.mp4"}


def test_a_host_that_leads_inside_is_refused_without_a_connection(
    front: S3Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda _host, *args, **kwargs: look_up("127.0.0.1", *args, **kwargs),
    )
    url = front.base_url.replace("127.0.0.1", "storage.example")
    store = bucket_store(url, "results", "the-key-id", "the-secret", allow_private_addresses=False)

    for size_bytes in (1000, THREE_PARTS):
        with pytest.raises(UsageError, match=r"'storage\.example' is a loopback address"):
            store.upload(make_request(tmp_path, size_bytes))

    assert front.requests == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:9000", "s3Config.endpointUrl: '127.0.0.1' is a loopback address"),
        ("http://[::ffff:169.254.169.254]", "s3Config.endpointUrl: .* link-local"),
        ("https://user:the-secret@host", "s3Config.endpointUrl: .* user name or password"),
        ("https://host/a/b?the-secret", "s3Config.endpointUrl has the path '/a/b'"),
        ("https://other.s3.eu-west-1.amazonaws.com", "bucket 'other' and s3Config.bucketName 're"),
    ],
)
def test_endpoints_of_a_job_that_are_never_accepted(url: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as e:
        bucket_store(url, "results", "the-key-id", "the-secret", allow_private_addresses=False)

    assert "the-" not in str(e.value)
