"""The official checkpoints, fetched from their release page."""

import time
from dataclasses import dataclass
from pathlib import Path

import requests
import tenacity
import urllib3

from rvm_export.errors import SourceError, WeightsError
from rvm_export.hashes import sha256_of
from rvm_export.weights.cache import Cache
from rvm_export.weights.checkpoint import read_checkpoint
from rvm_export.wire import Variant

_RELEASE_URL = "https://github.com/PeterL1n/RobustVideoMatting/releases/download/v1.0.0"

# The files have 15 and 108 MB; more than this is not them.
MAX_BYTES = {Variant.MOBILENETV3: 64 * 2**20, Variant.RESNET50: 256 * 2**20}
_BLOCK_BYTES = 2**18


@dataclass(frozen=True)
class TimeLimits:
    """How long a server may keep us waiting. Without internet, seconds should settle it."""

    connect_s: float = 3.0
    idle_s: float = 10.0
    total_s: float = 300.0


class _InterruptedError(SourceError):
    """The transfer broke off, or the server is unwell; another try may succeed."""


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
        _download(url, file, limits or TimeLimits(), MAX_BYTES[variant])
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


@tenacity.retry(
    retry=tenacity.retry_if_exception_type(_InterruptedError),
    stop=tenacity.stop_after_attempt(3),
    wait=tenacity.wait_exponential(0.2),
    reraise=True,
)
def _download(url: str, file: Path, limits: TimeLimits, max_bytes: int) -> None:
    deadline = time.monotonic() + limits.total_s
    try:
        timeouts = (limits.connect_s, limits.idle_s)
        with requests.get(url, stream=True, timeout=timeouts) as answer:
            _check_status(answer)
            _write(answer, file, deadline, max_bytes)
    except requests.RequestException as exc:
        raise SourceError(f"cannot reach {url}: {type(exc).__name__}") from exc
    except urllib3.exceptions.HTTPError as exc:
        raise _InterruptedError(f"{url} broke off: {type(exc).__name__}") from exc


def _check_status(answer: requests.Response) -> None:
    if answer.status_code != 200:
        problem = _InterruptedError if answer.status_code >= 500 else SourceError
        raise problem(f"{answer.url} answered {answer.status_code} {answer.reason}")


def _write(answer: requests.Response, file: Path, deadline: float, max_bytes: int) -> None:
    """The body into `file`, within the limits of size and time; urllib3 checks its length."""
    written = 0
    with file.open("wb") as out:
        # read1 returns what has arrived: a server that trickles cannot outwait the deadline.
        while block := answer.raw.read1(_BLOCK_BYTES, decode_content=True):
            written += out.write(block)
            if written > max_bytes:
                raise SourceError(f"{answer.url} sends more than {max_bytes} bytes")
            if time.monotonic() > deadline:
                raise SourceError(f"{answer.url} takes too long")
