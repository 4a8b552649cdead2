"""A folder in a bucket: its files are listed, fetched, stored and deleted."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tenacity

from rvm_client.closing import Closing
from rvm_client.config import BucketLocation, Settings
from rvm_client.errors import BucketChangedError, BucketError, ConfigError
from rvm_client.s3.bucket import S3Bucket
from rvm_client.s3.failures import CREDENTIAL_CODES, failure_code

_CONNECT_TIMEOUT_S = 5
_READ_TIMEOUT_S = 30
_ATTEMPTS = 3
_BLOCK_BYTES = 2**18
# A repository has a dozen files for each version.
_MOST_OBJECTS = 20_000


@dataclass(frozen=True)
class StoredObject:
    """One file in a bucket."""

    size_bytes: int
    etag: str
    """Changes whenever the content does."""


class S3Folder(Closing):
    """A folder in a bucket. Names of files are those below it, with slashes.

    Args:
        location: of the folder.
        service: where the bucket is, and the right to use it; None: as boto3 finds them itself, in
            the AWS_ variables or by the role of the machine.

    Raises:
        ConfigError: boto3 is not installed.
    """

    def __init__(self, location: BucketLocation, service: S3Bucket | None) -> None:
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError, ClientError
            from urllib3.exceptions import HTTPError
        except ImportError as exc:
            raise ConfigError("boto3 is not installed: pip install 'rvm-triton[worker]'") from exc
        self.location = location
        self._foreign = (BotoCoreError, ClientError, HTTPError)
        arguments: dict[str, str] = {}
        if service is not None:
            arguments = {
                "endpoint_url": service.endpoint_url,
                "region_name": service.region,
                "aws_access_key_id": service.access_key_id,
                "aws_secret_access_key": service.secret_access_key,
            }
        config = Config(
            s3={"addressing_style": "path"} if service is not None else {},
            connect_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=_READ_TIMEOUT_S,
            retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
            # Many compatible services refuse the checksums that boto3 adds by itself.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        with self._our_errors("be used"):
            self._client: Any = boto3.session.Session().client("s3", config=config, **arguments)

    @classmethod
    def configured(cls, location: BucketLocation, settings: Settings) -> "S3Folder":
        """Of the service that the `BUCKET_...` settings name; without them as boto3 finds it.

        Raises:
            ConfigError: some of the settings are missing, or boto3 is.
        """
        return cls(location, _service(location, settings))

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def list(self) -> dict[str, StoredObject]:
        """All files, by name.

        Raises:
            BucketError: they cannot be listed.
        """
        found: dict[str, StoredObject] = {}
        with self._our_errors("be listed"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.location.bucket, Prefix=self._key("")
            )
            for page in pages:
                for stored in page.get("Contents", []):
                    name = stored["Key"][len(self._key("")) :]
                    found[name] = StoredObject(stored["Size"], stored["ETag"])
                if len(found) > _MOST_OBJECTS:
                    raise BucketError(
                        f"{self.location} has more than {_MOST_OBJECTS} files, so it is not the "
                        "folder of a model repository; name the right one"
                    )
        return found

    def read(self, name: str, stored: StoredObject) -> bytes:
        """A small file that was listed. Raises as `fetch`."""
        with self._our_errors("be read"):
            return b"".join(self._blocks(name, stored))

    def fetch(
        self, name: str, stored: StoredObject, target: Path, check: Callable[[], None]
    ) -> str:
        """Write a file that was listed to `target`; its SHA-256, in hex.

        Args:
            name: of the file.
            stored: as it was listed.
            target: what is written; the folder around it is there.
            check: called after each block; what it raises ends the transfer.

        Raises:
            BucketChangedError: it is another one by now, or gone.
            BucketError: it cannot be fetched.
            OSError: it cannot be written.
        """
        with self._our_errors("be read"):
            for attempt in self._attempts():
                with attempt:
                    digest = hashlib.sha256()
                    with target.open("wb") as out:
                        for block in self._blocks(name, stored):
                            digest.update(block)
                            out.write(block)
                            check()
        return digest.hexdigest()

    def store(self, name: str, content: Path | bytes) -> None:
        """Put a file into the folder, in place of one of that name.

        Raises:
            BucketError: it cannot be stored.
            OSError: it cannot be read.
        """
        with self._our_errors("be written"), ExitStack() as stack:
            body = (
                content if isinstance(content, bytes) else stack.enter_context(content.open("rb"))
            )
            self._client.put_object(Bucket=self.location.bucket, Key=self._key(name), Body=body)

    def delete(self, name: str) -> None:
        """Remove a file, if it is there.

        Raises:
            BucketError: it cannot be removed.
        """
        with self._our_errors("be written"):
            self._client.delete_object(Bucket=self.location.bucket, Key=self._key(name))

    def _blocks(self, name: str, stored: StoredObject) -> Iterator[bytes]:
        answer = self._client.get_object(
            Bucket=self.location.bucket, Key=self._key(name), IfMatch=stored.etag
        )
        with closing(answer["Body"]) as body:
            # Not every service knows IfMatch.
            if (answer["ETag"], answer["ContentLength"]) != (stored.etag, stored.size_bytes):
                raise BucketChangedError(f"{name} in {self.location} has changed meanwhile")
            yield from body.iter_chunks(_BLOCK_BYTES)

    def _attempts(self) -> tenacity.Retrying:
        """Once more where a transfer broke off; requests that were refused boto3 has repeated."""
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(
                lambda exc: isinstance(exc, self._foreign) and failure_code(exc) is None
            ),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=tenacity.wait_exponential(0.2),
            reraise=True,
        )

    def _key(self, name: str) -> str:
        return f"{self.location.prefix}/{name}" if self.location.prefix else name

    @contextmanager
    def _our_errors(self, what: str) -> Iterator[None]:
        """The only place where boto3's errors become ours."""
        try:
            yield
        except self._foreign as exc:
            raise self._our_error(what, exc) from exc

    def _our_error(self, what: str, exc: Exception) -> BucketError:
        code = failure_code(exc)
        start = f"the model repository {self.location} cannot {what}"
        if code in ("PreconditionFailed", "412", "NoSuchKey"):
            return BucketChangedError(f"{start}: it has changed meanwhile")
        if code in CREDENTIAL_CODES or type(exc).__name__ == "NoCredentialsError":
            return BucketError(
                f"{start}: the credentials were refused or are missing ({code or 'none'}); check "
                "BUCKET_ACCESS_KEY_ID and BUCKET_SECRET_ACCESS_KEY"
            )
        if code in ("NoSuchBucket", "404"):
            return BucketError(f"{start}: there is no such bucket; check BUCKET_ENDPOINT_URL")
        if code is not None:
            return BucketError(f"{start}: the service refused it ({code})")
        return BucketError(f"{start}: the service could not be reached ({type(exc).__name__})")


def _service(location: BucketLocation, settings: Settings) -> S3Bucket | None:
    given = {
        "BUCKET_ENDPOINT_URL": settings.bucket_endpoint_url,
        "BUCKET_ACCESS_KEY_ID": settings.bucket_access_key_id,
        "BUCKET_SECRET_ACCESS_KEY": settings.bucket_secret_access_key,
    }
    values = [value.get_secret_value() for value in given.values() if value]
    if not values:
        return None
    if missing := [name for name, value in given.items() if not value]:
        raise ConfigError(
            f"set {' and '.join(missing)} too: the model repository {location} needs all of "
            f"{', '.join(given)}, or none of them where boto3 finds the keys itself"
        )
    return S3Bucket.beside(location.bucket, *values, region=settings.bucket_region)
