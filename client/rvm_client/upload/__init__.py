"""A result to where its user can fetch it."""

from rvm_client.upload.choose import (
    bucket_store,
    choose_store,
    named_bucket_store,
    presigned_store,
)
from rvm_client.upload.store import (
    ProgressCallback,
    Store,
    UploadProgress,
    UploadRequest,
    UploadResult,
)

__all__ = [
    "ProgressCallback",
    "Store",
    "UploadProgress",
    "UploadRequest",
    "UploadResult",
    "bucket_store",
    "choose_store",
    "named_bucket_store",
    "presigned_store",
]
