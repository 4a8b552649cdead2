"""Cloudinary, through its SDK: signed uploads in chunks.

A chunk that fails is sent again under the same upload id, which Cloudinary allows
(https://support.cloudinary.com/hc/en-us/articles/208263735).
"""

import threading
import urllib.parse
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import cloudinary
import urllib3
from cloudinary import api, uploader
from cloudinary.api_client import call_api

from rvm_client.errors import ConfigError, UploadError
from rvm_client.net import (
    Backoff,
    Deadline,
    Dialler,
    TransientError,
    is_transient_status,
    parse_retry_after,
    with_retries,
)
from rvm_client.upload.store import (
    CHUNK_BYTES,
    ProgressMeter,
    Store,
    UploadRequest,
    read_blocks,
)

BACKOFF = Backoff()
# Cloudinary answers the last chunk only after it has put the video together. The time to
# connect is also the limit for a write that does not move.
_CONNECT_TIMEOUT_S = 30
_UPLOAD_TIMEOUT = urllib3.Timeout(connect=_CONNECT_TIMEOUT_S, read=120)
_CHECK_TIMEOUT = urllib3.Timeout(connect=10, read=30)


@dataclass(frozen=True)
class CloudinaryAccount:
    """Whose cloud it is. `upload_prefix` is another address of the API, for tests."""

    cloud_name: str
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    upload_prefix: str | None = None

    @classmethod
    def from_url(cls, cloudinary_url: str) -> "CloudinaryAccount":
        """Read `cloudinary://key:secret@cloud[?upload_prefix=http...]`, as the SDK does.

        Raises:
            ConfigError: if it does not have that form. The message never shows the URL.
        """
        try:
            parts = urllib.parse.urlsplit(cloudinary_url)
        except ValueError:
            parts = urllib.parse.SplitResult("", "", "", "", "")
        if parts.scheme != "cloudinary" or not (
            parts.username and parts.password and parts.hostname
        ):
            raise ConfigError(
                "CLOUDINARY_URL must have the form cloudinary://API_KEY:API_SECRET@CLOUD_NAME"
            )
        prefix = urllib.parse.parse_qs(parts.query).get("upload_prefix", [None])[0]
        return cls(parts.hostname, parts.username, parts.password, prefix)

    def sdk_options(self) -> dict[str, str | None]:
        """What each SDK call is given, so that the SDK's global settings do not matter."""
        return {
            "cloud_name": self.cloud_name,
            "api_key": self.api_key,
            "api_secret": self.api_secret,
            "upload_prefix": self.upload_prefix,
            "oauth_token": None,
        }


class CloudinaryStore(Store):
    """Uploads videos, images and other files to one Cloudinary account."""

    name = "Cloudinary"

    def __init__(self, account: CloudinaryAccount, *, max_file_bytes: int) -> None:
        self.max_file_bytes = max_file_bytes
        self._account = account

    def _check(self, deadline: Deadline) -> None:
        """Ask Cloudinary's API whether it knows the account.

        Raises:
            ConfigError: if it refuses the credentials.
            UploadError: if it cannot be reached.
        """
        with _connected(deadline):
            with_retries(self._ping, UploadError, BACKOFF, deadline)

    def _send(self, request: UploadRequest, meter: ProgressMeter, deadline: Deadline) -> str:
        """Progress moves as chunks are confirmed."""
        with _connected(deadline):
            return self._send_chunks(request, meter, deadline)

    def _send_chunks(self, request: UploadRequest, meter: ProgressMeter, deadline: Deadline) -> str:
        upload_id = uuid.uuid4().hex
        sent_bytes = 0
        answer: dict[str, Any] = {}
        for chunk in read_blocks(request.path, CHUNK_BYTES):
            headers = {
                "X-Unique-Upload-Id": upload_id,
                "Content-Range": (
                    f"bytes {sent_bytes}-{sent_bytes + len(chunk) - 1}/{meter.total_bytes}"
                ),
            }
            answer = self._send_with_retries(request, chunk, headers, deadline)
            sent_bytes += len(chunk)
            meter.reached(sent_bytes)
        return self._stored_url(answer, meter.total_bytes)

    def _send_with_retries(
        self,
        request: UploadRequest,
        chunk: bytes,
        headers: dict[str, str],
        deadline: Deadline,
    ) -> dict[str, Any]:
        def send() -> dict[str, Any]:
            deadline.check()
            return self._send_chunk(request, chunk, headers, deadline)

        return with_retries(send, UploadError, BACKOFF, deadline)

    def _send_chunk(
        self, request: UploadRequest, chunk: bytes, headers: dict[str, str], deadline: Deadline
    ) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = uploader.upload_large_part(
                (request.path.name, chunk),
                resource_type=_resource_type(request),
                folder=request.folder,
                public_id=_public_id(request),
                http_headers=headers,
                timeout=_UPLOAD_TIMEOUT,
                **self._account.sdk_options(),
            )
        except cloudinary.exceptions.Error as exc:
            # An answer that the deadline broke off may look like any other.
            deadline.check()
            raise self._our_error(exc) from exc
        if _answers.last_status != 200:  # the SDK takes any JSON without an "error" for success
            raise self._our_error(answer)
        return answer

    def _ping(self) -> None:
        try:
            api.ping(timeout=_CHECK_TIMEOUT, **self._account.sdk_options())
        except Exception as exc:  # the SDK raises a bare Exception for a status it does not know
            status = _answers.last_status
            if status in (401, 404):
                raise ConfigError(str(self._our_error(exc))) from exc
            # A key may be allowed to upload and not to ask; and the plan's hourly number of
            # questions says nothing about uploads either.
            if status not in (403, 420, 429):
                raise self._our_error(exc) from exc

    def _our_error(self, reason: object) -> UploadError | TransientError:
        """The only place where the SDK's errors become ours."""
        status = _answers.last_status
        if status is None:
            return TransientError("the connection to Cloudinary broke or timed out")
        if status == 401:
            return UploadError(
                f"Cloudinary refused the credentials of the cloud {self._account.cloud_name!r}: "
                "check CLOUDINARY_URL, or CLOUDINARY_CLOUD_NAME, CLOUDINARY_API_KEY and "
                "CLOUDINARY_API_SECRET"
            )
        if is_transient_status(status):
            return TransientError(
                f"Cloudinary answered with status {status}", _answers.last_retry_after_s
            )
        return UploadError(f"Cloudinary answered with status {status}: {self._redacted(reason)}")

    def _redacted(self, reason: object) -> str:
        text = " ".join(str(reason).split())[:300].rstrip(".")
        for secret in (self._account.api_secret, self._account.api_key):
            text = text.replace(secret, "***")
        return text

    def _stored_url(self, answer: dict[str, Any], total_bytes: int) -> str:
        url: str | None = answer.get("secure_url") or answer.get("url")
        if not url:
            raise UploadError("Cloudinary took every chunk, but named no URL for the file")
        stored_bytes = answer.get("bytes", total_bytes)
        if stored_bytes != total_bytes:
            raise UploadError(f"Cloudinary stored {stored_bytes} bytes of {total_bytes}")
        return url


def _resource_type(request: UploadRequest) -> str:
    """How Cloudinary files it: "video", "image", or "raw" for anything else."""
    kind = request.content_type.partition("/")[0]
    return kind if kind in ("video", "image") else "raw"


def _public_id(request: UploadRequest) -> str:
    # Cloudinary adds the extension to the URLs of videos and images only.
    is_raw = _resource_type(request) == "raw"
    return f"{request.name}{request.path.suffix}" if is_raw else request.name


class _Answers(threading.local):
    """This thread's connections, and what its last request was answered.

    A status of None is no answer at all.
    """

    connections: urllib3.PoolManager
    last_status: int | None = None
    last_retry_after_s: float | None = None


_answers = _Answers()


@contextmanager
def _connected(deadline: Deadline) -> Iterator[None]:
    """Let this thread's requests go over connections that the deadline breaks."""
    with Dialler(deadline, _CONNECT_TIMEOUT_S, allow_private_addresses=True) as dialler:
        _answers.connections = urllib3.PoolManager(**cloudinary.CERT_KWARGS)
        _answers.connections.pool_classes_by_scheme = dialler.pools
        try:
            yield
        finally:
            _answers.connections.clear()


class _AnswerKeepingConnector:
    """In place of the SDK's HTTP connector: each thread's own, with a memory.

    The SDK's errors carry neither the status of an answer that is not JSON, nor Retry-After.
    """

    def request(self, *args: Any, **kwargs: Any) -> Any:
        _answers.last_status = _answers.last_retry_after_s = None
        # urllib3 would try a refused connection again at once, three times.
        response = _answers.connections.request(*args, retries=False, **kwargs)
        _answers.last_status = response.status
        _answers.last_retry_after_s = parse_retry_after(response.headers.get("Retry-After"))
        return response


# The SDK has one connector per module for the whole process, and no option to pass another.
for _module in (uploader, call_api):
    _module._http = _AnswerKeepingConnector()
