"""S3 and services that speak its protocol, through boto3: multipart, presigned result URLs."""

import threading
from typing import Any

import boto3
from boto3.s3.transfer import ProgressCallbackInvoker, TransferConfig, create_transfer_manager
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from rvm_client.errors import ConfigError, UploadError
from rvm_client.net import Backoff
from rvm_client.upload.s3_bucket import S3Bucket
from rvm_client.upload.s3_guard import GuardedRequests
from rvm_client.upload.store import (
    CHUNK_BYTES,
    ProgressMeter,
    Store,
    UploadRequest,
    raise_if_cancelled,
    unreadable,
)

# As in RunPod's own upload helper, and the longest that signature version 4 allows: a week.
URL_EXPIRES_S = 7 * 24 * 60 * 60

ATTEMPTS = Backoff().attempts  # of each request of a multipart upload by itself

_CONNECT_TIMEOUT_S = 30  # also for a write that does not move
_READ_TIMEOUT_S = 120
_PARALLEL_PARTS = 4
_CANCEL_CHECK_S = 0.1

_CREDENTIAL_CODES = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "401", "Unauthorized"}
)


class S3Store(Store):
    """Uploads to one bucket and returns URLs that can be fetched for a week."""

    name = "S3"

    def __init__(self, bucket: S3Bucket, guard: GuardedRequests | None = None) -> None:
        """With a guard, that alone makes connections."""
        self._bucket = bucket
        self._transfer_config = TransferConfig(
            multipart_threshold=CHUNK_BYTES,
            multipart_chunksize=CHUNK_BYTES,
            max_concurrency=_PARALLEL_PARTS,
        )
        self._client = boto3.session.Session().client(
            "s3",
            endpoint_url=bucket.endpoint_url,
            aws_access_key_id=bucket.access_key_id,
            aws_secret_access_key=bucket.secret_access_key,
            region_name=bucket.region,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                connect_timeout=_CONNECT_TIMEOUT_S,
                read_timeout=_READ_TIMEOUT_S,
                retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
                # Many compatible services refuse the checksums that boto3 adds by itself.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        if guard is not None:
            self._client.meta.events.register("before-send.s3", guard)

    def check(self) -> None:
        """Ask for the name of one object.

        Raises:
            ConfigError: if the bucket does not exist or the credentials are refused.
            UploadError: if the service cannot be reached.
        """
        try:
            self._client.list_objects_v2(Bucket=self._bucket.name, MaxKeys=1)
        except (BotoCoreError, ClientError) as exc:
            # A key that may write and not list is good enough.
            if _code(exc) != "AccessDenied":
                raise self._our_error(exc) from exc

    def _send(
        self, request: UploadRequest, meter: ProgressMeter, cancelled: threading.Event
    ) -> str:
        """The parts of an upload that fails are deleted."""
        raise_if_cancelled(cancelled)
        try:
            self._transfer(request, meter, cancelled)
            return self._fetch_url(request.key)
        except (BotoCoreError, ClientError) as exc:
            raise self._our_error(exc) from exc
        except OSError as exc:
            raise unreadable(request.path, exc) from exc

    def _transfer(
        self, request: UploadRequest, meter: ProgressMeter, cancelled: threading.Event
    ) -> None:
        # Not `Client.upload_file`: that one cannot be cancelled.
        with create_transfer_manager(self._client, self._transfer_config) as manager:
            future = manager.upload(
                str(request.path),
                self._bucket.name,
                request.key,
                extra_args={"ContentType": request.content_type},
                subscribers=[ProgressCallbackInvoker(meter.moved)],
            )
            while not future.done():
                if cancelled.wait(_CANCEL_CHECK_S):
                    future.cancel()
                    manager.shutdown()  # waits until the parts are deleted
            try:
                future.result()
            except Exception:
                raise_if_cancelled(cancelled)
                raise

    def _fetch_url(self, key: str) -> str:
        url: str = self._client.generate_presigned_url(
            "get_object",
            Params={"Bucket": self._bucket.name, "Key": key},
            ExpiresIn=URL_EXPIRES_S,
        )
        return url

    def _our_error(self, exc: Exception) -> ConfigError | UploadError:
        """The only place where boto3's errors become ours."""
        code, names = _code(exc), self._bucket.names
        where = f"bucket {self._bucket.name!r} at {self._bucket.endpoint_url}"
        if code in _CREDENTIAL_CODES:
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


def _code(exc: Any) -> str | None:
    """S3's name for the failure; None where no answer came."""
    code = exc.response.get("Error", {}).get("Code") if isinstance(exc, ClientError) else None
    return str(code) if code else None
