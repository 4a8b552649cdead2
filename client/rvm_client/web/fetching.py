"""A pasted URL to a file, with the guards and limits of jobs."""

import threading
from collections.abc import Callable
from pathlib import Path

from rvm_client.download import DownloadLimits, DownloadProgress, download
from rvm_client.web.settings import PageOptions

OnProgress = Callable[[int, int | None], None]
"""Gets the bytes that came, and all there are if that is known."""


def fetch(
    url: str,
    target: Path,
    options: PageOptions,
    cancelled: threading.Event,
    on_progress: OnProgress = lambda _received, _total: None,
) -> int:
    """Fetch `url` into `target`; returns its bytes.

    Raises:
        UsageError, DownloadError, StoppedError: as `download`.
    """
    settings = options.settings

    def tell(progress: DownloadProgress) -> None:
        on_progress(progress.received_bytes, progress.total_bytes)

    limits = DownloadLimits(
        max_bytes=min(settings.max_download_bytes, options.limits.upload_bytes),
        total_timeout_s=settings.download_timeout_s,
        allow_private_addresses=settings.allow_private_addresses,
    )
    return download(url, target, limits, on_progress=tell, cancelled=cancelled).bytes
