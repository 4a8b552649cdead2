"""S3 and services that speak its protocol, through boto3: multipart, presigned result URLs."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from boto3.s3.transfer import ProgressCallbackInvoker, TransferConfig, create_transfer_manager
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from rvm_client.errors import ConfigError, RvmError, UploadError, UsageError
from rvm_client.net import Backoff, Deadline, Dialler, is_transient_status, parse_retry_after
from rvm_client.s3 import CREDENTIAL_CODES, S3Bucket, failure_code
from rvm_client.upload.store import (
    CHUNK_BYTES,
    ProgressMeter,
    Store,
    UploadRequest,
    unreadable,
)

# As in RunPod's own upload helper, and the longest that signature version 4 allows: a week.
URL_EXPIRES_S = 7 * 24 * 60 * 60

BACKOFF = Backoff()  # of each request of a multipart upload by itself

_CONNECT_TIMEOUT_S = 30  # also for a write that does not move
_READ_TIMEOUT_S = 60
_PARALLEL_PARTS = 4
_CHECK_S = 0.1
# What is left of an upload that was given up may take so long to be deleted.
_TIDY_S = 1.0


class S3Store(Store):
    """Uploads to one bucket and returns URLs that can be fetched for a week."""

    name = "S3"

    def __init__(self, bucket: S3Bucket, *, allow_private_addresses: bool = True) -> None:
        """The worker's own bucket may be anywhere; one that a stranger names may not."""
        self._bucket = bucket
        self._allow_private_addresses = allow_private_addresses
        self._transfer_config = TransferConfig(
            multipart_threshold=CHUNK_BYTES,
            multipart_chunksize=CHUNK_BYTES,
            max_concurrency=_PARALLEL_PARTS,
        )
        self._session = boto3.session.Session()
        self._session_lock = threading.Lock()

    def _check(self, deadline: Deadline) -> None:
        """Ask for the name of one object.

        Raises:
            ConfigError: if the bucket does not exist or the credentials are refused.
            UploadError: if the service cannot be reached.
        """
        try:
            with self._client(deadline) as client:
                client.list_objects_v2(Bucket=self._bucket.name, MaxKeys=1)
        except (BotoCoreError, ClientError) as exc:
            deadline.check()
            # A key that may write and not list is good enough.
            if failure_code(exc) != "AccessDenied":
                raise self._our_error(exc) from exc

    def _send(self, request: UploadRequest, meter: ProgressMeter, deadline: Deadline) -> str:
        """The parts of an upload that fails are deleted, as far as the service does it at once."""
        try:
            with self._client(deadline) as client:
                self._transfer(client, request, meter, deadline)
                return self._fetch_url(client, request.key)
        except (BotoCoreError, ClientError) as exc:
            deadline.check()
            if refusal := _refusal(exc):
                raise refusal from None
            raise self._our_error(exc) from exc
        except OSError as exc:
            raise unreadable(request.path, exc) from exc

    @contextmanager
    def _client(self, deadline: Deadline) -> Iterator[Any]:
        """A client whose connections break a moment after the deadline."""
        with (
            _a_moment_later(deadline) as later,
            Dialler(
                later,
                _CONNECT_TIMEOUT_S,
                allow_private_addresses=self._allow_private_addresses,
            ) as dialler,
        ):
            client = self._new_client()
            client.meta.events.register("needs-retry.s3", _Retries(deadline))
            # botocore has no option to pass other connections.
            pools = client._endpoint.http_session._pool_classes_by_scheme
            pools.update({scheme: dialler.pool(kind) for scheme, kind in pools.items()})
            try:
                yield client
            finally:
                client.close()

    def _new_client(self) -> Any:
        with self._session_lock:
            return self._session.client(
                "s3",
                endpoint_url=self._bucket.endpoint_url,
                aws_access_key_id=self._bucket.access_key_id,
                aws_secret_access_key=self._bucket.secret_access_key,
                region_name=self._bucket.region,
                config=Config(
                    signature_version="s3v4",
                    s3={"addressing_style": "path"},
                    connect_timeout=_CONNECT_TIMEOUT_S,
                    read_timeout=_READ_TIMEOUT_S,
                    # Its waits between attempts cannot be ended: see `_Retries`.
                    retries={"total_max_attempts": 1, "mode": "standard"},
                    # Many compatible services refuse the checksums that boto3 adds by itself.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )

    def _transfer(
        self, client: Any, request: UploadRequest, meter: ProgressMeter, deadline: Deadline
    ) -> None:
        # Not `Client.upload_file`: that one cannot be cancelled.
        with create_transfer_manager(client, self._transfer_config) as manager:
            future = manager.upload(
                str(request.path),
                self._bucket.name,
                request.key,
                extra_args={"ContentType": request.content_type},
                subscribers=[ProgressCallbackInvoker(meter.moved)],
            )
            try:
                while not future.done():
                    deadline.sleep(_CHECK_S)
            except RvmError:
                future.cancel()
                manager.shutdown()  # waits until the parts are deleted
                raise
            future.result()

    def _fetch_url(self, client: Any, key: str) -> str:
        url: str = client.generate_presigned_url(
            "get_object",
            Params={"Bucket": self._bucket.name, "Key": key},
            ExpiresIn=URL_EXPIRES_S,
        )
        return url

    def _our_error(self, exc: Exception) -> ConfigError | UploadError:
        """The only place where boto3's errors become ours."""
        code, names = failure_code(exc), self._bucket.names
        where = f"bucket {self._bucket.name!r} at {self._bucket.endpoint_url}"
        if code in CREDENTIAL_CODES:
            return ConfigError(
                f"the credentials of the {where} were refused ({code}): check "
                f"{names.access_key_id} and {names.secret_access_key}"
            )
        if code in ("NoSuchBucket", "404"):
            return ConfigError(
                f"there is no {where}: check {names.endpoint_url} and {names.bucket}"
            )
        if code == "AccessDenied":
            return ConfigError(f"the credentials do not allow to write to the {where}")
        if code is not None:
            return UploadError(f"the {where} refused the upload ({code})")
        return UploadError(f"the {where} could not be reached ({type(exc).__name__})")


@contextmanager
def _a_moment_later(deadline: Deadline) -> Iterator[Deadline]:
    """A deadline that runs out `_TIDY_S` after `deadline`, or after somebody asked to stop."""
    over = threading.Event()
    moment = threading.Timer(_TIDY_S, over.set)
    moment.daemon = True
    try:
        with Deadline(math.inf, over) as later, deadline.interrupting(moment.start):
            yield later
    finally:
        moment.cancel()


class _Retries:
    """What botocore asks after each attempt: None, or the seconds to wait before the next."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def __call__(
        self, *, attempts: int, response: Any, caught_exception: Exception | None, **_: Any
    ) -> float | None:
        """Wait here, where it can be ended. Raises as `Deadline.check`."""
        asked_s = None
        if response is not None:
            answer, parsed = response
            if not _may_pass(parsed):
                return None
            asked_s = parse_retry_after(answer.headers.get("Retry-After"))
        elif not isinstance(caught_exception, HTTPClientError) or _refusal(caught_exception):
            return None
        if attempts >= BACKOFF.attempts:
            return None
        self._deadline.sleep(BACKOFF.wait_s(attempts, asked_s))
        return 0.0


def _refusal(exc: Exception) -> UsageError | None:
    """Why no connection was made, where the address is not one for strangers."""
    cause = exc.kwargs.get("error") if isinstance(exc, HTTPClientError) else None
    return cause if isinstance(cause, UsageError) else None


def _may_pass(parsed: Any) -> bool:
    """Whether S3's answer means "later"; some of its codes come with another status."""
    if parsed.get("Error", {}).get("Code") in ("RequestTimeout", "SlowDown", "InternalError"):
        return True
    return is_transient_status(parsed.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
