"""The last stage: put the result where its user can fetch it.

Which store is used follows from what is set, in this order:

1. the job's own `upload_url`: a presigned PUT URL,
2. Cloudinary: `CLOUDINARY_URL`, or its three separate variables,
3. an S3-compatible bucket: RunPod's `BUCKET_*` variables,
4. a local folder: `RVM_UPLOAD_FOLDER`, for development.

The packages of Cloudinary and S3 are imported only where they are used.
"""

from dataclasses import dataclass, field
from pathlib import Path

from rvm_client.errors import ConfigError
from rvm_client.net import Backoff
from rvm_client.upload.local import LocalStore
from rvm_client.upload.presigned import PresignedStore
from rvm_client.upload.s3_bucket import S3Bucket
from rvm_client.upload.store import (
    ProgressCallback,
    Store,
    UploadProgress,
    UploadRequest,
    UploadResult,
)

__all__ = [
    "Backoff",
    "ProgressCallback",
    "Store",
    "StoreConfig",
    "UploadProgress",
    "UploadRequest",
    "UploadResult",
    "choose_store",
    "presigned_store",
]

# S3 takes no smaller part but the last (5 MiB), and neither does Cloudinary (5 MB).
MIN_CHUNK_BYTES = 5 * 1024 * 1024
# Small, so that progress moves often and a broken connection costs little.
DEFAULT_CHUNK_BYTES = 6 * 1000 * 1000
# "100 MB" is the largest video of Cloudinary's free plan. Its sizes count in MiB where they
# were seen in its answers; a decimal limit is right under both readings.
DEFAULT_CLOUDINARY_MAX_FILE_BYTES = 100 * 1000 * 1000


@dataclass(frozen=True)
class StoreConfig:
    """What the environment says about stores. Secrets do not show in its repr.

    Raises:
        ConfigError: if a number is out of its range.
    """

    cloudinary_url: str | None = field(default=None, repr=False)
    cloudinary_cloud_name: str | None = None
    cloudinary_api_key: str | None = field(default=None, repr=False)
    cloudinary_api_secret: str | None = field(default=None, repr=False)
    cloudinary_max_file_bytes: int = DEFAULT_CLOUDINARY_MAX_FILE_BYTES
    bucket_endpoint_url: str | None = field(default=None, repr=False)
    bucket_access_key_id: str | None = field(default=None, repr=False)
    bucket_secret_access_key: str | None = field(default=None, repr=False)
    bucket_name: str | None = None
    bucket_region: str | None = None
    local_folder: Path | None = None
    chunk_bytes: int = DEFAULT_CHUNK_BYTES
    backoff: Backoff = field(default_factory=Backoff)

    def __post_init__(self) -> None:
        if self.cloudinary_max_file_bytes <= 0:
            raise ConfigError(
                f"CLOUDINARY_MAX_FILE_BYTES is {self.cloudinary_max_file_bytes}: "
                "give a number above 0"
            )
        if self.chunk_bytes < MIN_CHUNK_BYTES:
            raise ConfigError(
                f"the chunk size is {self.chunk_bytes} bytes: stores take no less than "
                f"{MIN_CHUNK_BYTES}"
            )


def choose_store(config: StoreConfig) -> Store:
    """The worker's store; see the top of this module.

    Raises:
        ConfigError: if nothing is set, or not all that the store needs.
    """
    if config.cloudinary_url or _any_set(_cloudinary_variables(config)):
        return _cloudinary_store(config)
    if _any_set(_bucket_variables(config)) or config.bucket_name:
        return _s3_store(config)
    if config.local_folder:
        return LocalStore(config.local_folder)
    raise ConfigError(
        "no store is set for the results: set CLOUDINARY_URL for Cloudinary; or "
        "BUCKET_ENDPOINT_URL, BUCKET_ACCESS_KEY_ID and BUCKET_SECRET_ACCESS_KEY for an "
        "S3-compatible bucket; or RVM_UPLOAD_FOLDER for a local folder"
    )


def presigned_store(
    upload_url: str, *, allow_private_addresses: bool = False, backoff: Backoff | None = None
) -> Store:
    """The store of a job that brings its own `upload_url`, instead of the worker's.

    Raises:
        UsageError: if the URL cannot be accepted, whatever it resolves to.
    """
    return PresignedStore(
        upload_url,
        allow_private_addresses=allow_private_addresses,
        backoff=backoff or Backoff(),
    )


def _cloudinary_store(config: StoreConfig) -> Store:
    try:
        from rvm_client.upload.cloudinary import CloudinaryAccount, CloudinaryStore
    except ImportError as exc:
        raise _missing_package("cloudinary") from exc
    except ValueError as exc:  # the SDK reads CLOUDINARY_URL itself when it is imported
        raise ConfigError(f"CLOUDINARY_URL cannot be used: {exc}") from exc
    if config.cloudinary_url:
        account = CloudinaryAccount.from_url(config.cloudinary_url)
    else:
        account = CloudinaryAccount(*_all_set(_cloudinary_variables(config)))
    return CloudinaryStore(
        account,
        max_file_bytes=config.cloudinary_max_file_bytes,
        chunk_bytes=config.chunk_bytes,
        backoff=config.backoff,
    )


def _s3_store(config: StoreConfig) -> Store:
    endpoint_url, access_key_id, secret_access_key = _all_set(_bucket_variables(config))
    bucket = S3Bucket.from_settings(
        endpoint_url, access_key_id, secret_access_key, config.bucket_name, config.bucket_region
    )
    try:
        from rvm_client.upload.s3 import S3Store
    except ImportError as exc:
        raise _missing_package("boto3") from exc
    return S3Store(bucket, chunk_bytes=config.chunk_bytes, attempts=config.backoff.attempts)


def _cloudinary_variables(config: StoreConfig) -> dict[str, str | None]:
    return {
        "CLOUDINARY_CLOUD_NAME": config.cloudinary_cloud_name,
        "CLOUDINARY_API_KEY": config.cloudinary_api_key,
        "CLOUDINARY_API_SECRET": config.cloudinary_api_secret,
    }


def _bucket_variables(config: StoreConfig) -> dict[str, str | None]:
    return {
        "BUCKET_ENDPOINT_URL": config.bucket_endpoint_url,
        "BUCKET_ACCESS_KEY_ID": config.bucket_access_key_id,
        "BUCKET_SECRET_ACCESS_KEY": config.bucket_secret_access_key,
    }


def _any_set(variables: dict[str, str | None]) -> bool:
    return any(variables.values())


def _all_set(variables: dict[str, str | None]) -> list[str]:
    missing = [name for name, value in variables.items() if not value]
    if missing:
        raise ConfigError(
            f"set {' and '.join(missing)} too: the store needs all of {', '.join(variables)}"
        )
    return [value for value in variables.values() if value]


def _missing_package(package: str) -> ConfigError:
    return ConfigError(f"{package} is not installed: pip install 'rvm-triton[worker]'")
