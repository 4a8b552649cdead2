"""The last stage: put the result where its user can fetch it.

Which store is used follows from what is set, in this order:

1. the job's own `upload_url`: a presigned PUT URL,
2. the job's own bucket: RunPod's `s3Config`, beside the job's input,
3. Cloudinary: `CLOUDINARY_URL`, or its three separate variables,
4. an S3-compatible bucket: RunPod's `BUCKET_*` variables,
5. a local folder: `RVM_UPLOAD_FOLDER`, for development.

The packages of Cloudinary and S3 are imported only where they are used.
"""

from typing import TypeAlias

from pydantic import SecretStr

from rvm_client.config import Settings
from rvm_client.errors import ConfigError, UsageError
from rvm_client.net import acceptable_url
from rvm_client.s3 import OF_A_JOB, S3Bucket
from rvm_client.upload.local import LocalStore
from rvm_client.upload.presigned import PresignedStore
from rvm_client.upload.store import Store

_Variables: TypeAlias = dict[str, str | SecretStr | None]


def choose_store(settings: Settings) -> Store:
    """The worker's store; see the top of this module.

    Raises:
        ConfigError: if nothing is set, or not all that the store needs.
    """
    if settings.cloudinary_url or any(_cloudinary_variables(settings).values()):
        return _cloudinary_store(settings)
    if any(_bucket_variables(settings).values()) or settings.bucket_name:
        return _s3_store(settings)
    if settings.upload_folder:
        return LocalStore(settings.upload_folder)
    raise ConfigError(
        "no store is set for the results: set CLOUDINARY_URL for Cloudinary; or "
        "BUCKET_ENDPOINT_URL, BUCKET_ACCESS_KEY_ID and BUCKET_SECRET_ACCESS_KEY for an "
        "S3-compatible bucket; or RVM_UPLOAD_FOLDER for a local folder"
    )


def presigned_store(upload_url: str, *, allow_private_addresses: bool) -> Store:
    """The store of a job that brings its own `upload_url`, instead of the worker's.

    Raises:
        UsageError: if the URL cannot be accepted, whatever it resolves to.
    """
    return PresignedStore(upload_url, allow_private_addresses=allow_private_addresses)


def bucket_store(
    endpoint_url: str,
    bucket_name: str,
    access_key_id: str,
    secret_access_key: str,
    *,
    allow_private_addresses: bool,
) -> Store:
    """The store of a job that brings its own bucket, in RunPod's `s3Config`.

    Raises:
        UsageError: if the URL cannot be accepted, whatever it resolves to, or names another bucket.
        ConfigError: boto3 is not installed.
    """
    try:
        url = acceptable_url(endpoint_url, allow_private_addresses=allow_private_addresses)
    except UsageError as exc:
        raise UsageError(f"{OF_A_JOB.endpoint_url}: {exc}") from exc
    try:
        bucket = S3Bucket.from_settings(
            url, access_key_id, secret_access_key, bucket_name, names=OF_A_JOB
        )
    except ConfigError as exc:
        raise UsageError(str(exc)) from exc
    return _boto3_store(bucket, allow_private_addresses=allow_private_addresses)


def named_bucket_store(settings: Settings, bucket_name: str) -> Store:
    """The bucket of that name, at the service and with the keys of the BUCKET_* variables.

    Raises:
        ConfigError: a variable is missing, or names another bucket.
    """
    return _s3_store(settings, bucket_name)


def _cloudinary_store(settings: Settings) -> Store:
    try:
        from rvm_client.upload.cloudinary import CloudinaryAccount, CloudinaryStore
    except ImportError as exc:
        raise _missing_package("cloudinary") from exc
    except ValueError as exc:  # the SDK reads CLOUDINARY_URL itself when it is imported
        raise ConfigError(
            "CLOUDINARY_URL cannot be used: write it as cloudinary://API_KEY:API_SECRET@CLOUD_NAME"
        ) from exc
    if settings.cloudinary_url:
        account = CloudinaryAccount.from_url(settings.cloudinary_url.get_secret_value())
    else:
        account = CloudinaryAccount(*_all_set(_cloudinary_variables(settings)))
    return CloudinaryStore(account, max_file_bytes=settings.cloudinary_max_file_bytes)


def _s3_store(settings: Settings, bucket_name: str | None = None) -> Store:
    endpoint_url, access_key_id, secret_access_key = _all_set(_bucket_variables(settings))
    bucket = S3Bucket.from_settings(
        endpoint_url,
        access_key_id,
        secret_access_key,
        bucket_name or settings.bucket_name,
        settings.bucket_region,
    )
    return _boto3_store(bucket)


def _boto3_store(bucket: S3Bucket, *, allow_private_addresses: bool = True) -> Store:
    try:
        from rvm_client.upload.s3 import S3Store
    except ImportError as exc:
        raise _missing_package("boto3") from exc
    return S3Store(bucket, allow_private_addresses=allow_private_addresses)


def _cloudinary_variables(settings: Settings) -> _Variables:
    return {
        "CLOUDINARY_CLOUD_NAME": settings.cloudinary_cloud_name,
        "CLOUDINARY_API_KEY": settings.cloudinary_api_key,
        "CLOUDINARY_API_SECRET": settings.cloudinary_api_secret,
    }


def _bucket_variables(settings: Settings) -> _Variables:
    return {
        "BUCKET_ENDPOINT_URL": settings.bucket_endpoint_url,
        "BUCKET_ACCESS_KEY_ID": settings.bucket_access_key_id,
        "BUCKET_SECRET_ACCESS_KEY": settings.bucket_secret_access_key,
    }


def _all_set(variables: _Variables) -> list[str]:
    """The values, readable."""
    missing = [name for name, value in variables.items() if not value]
    if missing:
        raise ConfigError(
            f"set {' and '.join(missing)} too: the store needs all of {', '.join(variables)}"
        )
    return [
        value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for value in variables.values()
    ]


def _missing_package(package: str) -> ConfigError:
    return ConfigError(f"{package} is not installed: pip install 'rvm-triton[worker]'")
