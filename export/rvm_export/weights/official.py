"""The official checkpoints, fetched from their release page."""

from pathlib import Path

from rvm_export.errors import SourceError, TransferError, WeightsError
from rvm_export.hashes import sha256_of
from rvm_export.transfer import TimeLimits, fetch
from rvm_export.weights.cache import Cache
from rvm_export.weights.checkpoint import read_checkpoint
from rvm_export.wire import Variant

_RELEASE_URL = "https://github.com/PeterL1n/RobustVideoMatting/releases/download/v1.0.0"

# The files have 15 and 108 MB; more than this is not them.
MAX_BYTES = {Variant.MOBILENETV3: 64 * 2**20, Variant.RESNET50: 256 * 2**20}


def file_name(variant: Variant) -> str:
    """Of a variant's checkpoint, in the release and in the cache."""
    return f"rvm_{variant.value}.pth"


def official_url(variant: Variant) -> str:
    """Where the release has it."""
    return f"{_RELEASE_URL}/{file_name(variant)}"


def fetch_official(
    cache: Cache,
    url: str,
    sha256: str | None = None,
    limits: TimeLimits | None = None,
    variant: Variant = Variant.MOBILENETV3,
) -> Path:
    """Download a checkpoint into the cache, checked as far as anything is known of it.

    Args:
        cache: where the file goes, by its `file_name`.
        url: of the file.
        sha256: the hash it must have, if known. Keys, shapes and values are always checked.
        limits: of time.
        variant: whose checkpoint it must be.

    Raises:
        SourceError: it cannot be fetched, or what came is not the checkpoint.
    """
    with cache.workspace() as folder:
        file = folder / file_name(variant)
        try:
            fetch(url, file, limits or TimeLimits(), MAX_BYTES[variant], decode=True)
        except TransferError as exc:
            raise SourceError(str(exc)) from exc
        actual = sha256_of(file)
        if sha256 not in (None, actual):
            raise SourceError(f"{url} has the SHA-256 {actual}, not {sha256}")
        try:
            read_checkpoint(file, variant)
        except WeightsError as exc:
            raise SourceError(
                f"what {url} sent is not the RVM {variant.paper_name} checkpoint"
            ) from exc
        return cache.add(file, file.name)
