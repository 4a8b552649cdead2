"""A source as a file: itself, or what its URL gives for as long as it is needed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rvm_client.config import Settings
from rvm_client.options import is_url
from rvm_client.owned import OwnedFolder


@contextmanager
def local_file(
    source: str, settings: Settings, cancelled: threading.Event | None = None
) -> Iterator[Path]:
    """The file that `source`, a path or a URL, names.

    Raises:
        UsageError, DownloadError, StoppedError: as `download`.
    """
    if not is_url(source):
        yield Path(source)
        return
    # Files need no HTTP.
    from rvm_client.download import DownloadLimits, download

    limits = DownloadLimits(
        max_bytes=settings.max_download_bytes,
        total_timeout_s=settings.download_timeout_s,
        allow_private_addresses=settings.allow_private_addresses,
    )
    with OwnedFolder("rvm-matte") as folder:
        target = folder.path / "source"
        download(source, target, limits, cancelled=cancelled)
        yield target
