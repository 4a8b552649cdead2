"""What the environment sets. No other module of the export reads it."""

import os
from pathlib import Path

import platformdirs

from rvm_export.errors import UsageError


def cache_folder() -> Path:
    """`RVM_CACHE_DIR`, or the user's cache folder."""
    chosen = os.environ.get("RVM_CACHE_DIR")
    return Path(chosen) if chosen else platformdirs.user_cache_path("rvm-triton")


def default_repository() -> Path:
    """`RVM_MODEL_REPOSITORY`, or `./model_repository`, or the checkout's.

    Raises:
        UsageError: it is a bucket.
    """
    chosen = os.environ.get("RVM_MODEL_REPOSITORY")
    here = Path("model_repository")
    if chosen and chosen.startswith("s3:"):
        raise UsageError(
            f"RVM_MODEL_REPOSITORY is {chosen}, and versions are made and changed in a folder; "
            "name it with --repository, and bring versions to the bucket with rvm-export push"
        )
    if chosen:
        return Path(chosen)
    checkout = checkout_repository()
    return here if here.is_dir() or not checkout.is_dir() else checkout


def onnx_repository() -> Path:
    """The folder beside the default repository that ONNX models go to, for servers of their own."""
    path = default_repository()
    return path.resolve().with_name(f"{path.resolve().name}_onnx")


def checkout_repository() -> Path:
    """The model repository of the checkout that this file belongs to; may not exist."""
    return Path(__file__).resolve().parents[2] / "model_repository"
