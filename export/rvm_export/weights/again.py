"""The weights that a version was made from, had again by their hash."""

from collections.abc import Iterator
from pathlib import Path

from rvm_export.errors import WeightsError
from rvm_export.hashes import sha256_of
from rvm_export.weights import npm, official
from rvm_export.weights.cache import Cache
from rvm_export.weights.weights import INT8_VARIANTS, Weights, read_weights
from rvm_export.wire import Variant


def weights_again(source: str, sha256: str, variant: Variant, cache_folder: Path) -> Weights:
    """Weights of that hash from where they came from, if it was a file, or from the cache.

    Args:
        source: what the manifest says: a path, a URL or a package.
        sha256: of the weights, as in the manifest.
        variant: whose weights.
        cache_folder: of fetched weights. Nothing is fetched.

    Raises:
        WeightsError: they are in neither place.
    """
    for path in _places(source, variant, Cache(cache_folder)):
        if sha256_of(path.with_suffix(".bin") if path.suffix == ".json" else path) == sha256:
            return read_weights(path, sha256, variant)
    raise WeightsError(
        f"the weights of {source} with the SHA-256 {sha256} are neither there nor in the cache "
        f"{cache_folder}; give them with --checkpoint"
    )


def _places(source: str, variant: Variant, cache: Cache) -> Iterator[Path]:
    if Path(source).is_file():
        yield Path(source)
    if path := cache.find(official.file_name(variant)):
        yield path
    if variant in INT8_VARIANTS and (path := npm.find_int8(cache)):
        yield path
