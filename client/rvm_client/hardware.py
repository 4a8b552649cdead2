"""The video engines of NVIDIA cards: where to look for a card, and why it was not used.

NVDEC decodes, NVENC encodes; FFmpeg loads the driver's libraries by itself. Whether an engine can
do what is asked, only opening it tells: data-centre cards have no NVENC, others limit the size of
pictures and the number of encoders. So nothing is probed: who opens one is ready for an error,
goes on in software, and says so here.
"""

import errno
import logging
from dataclasses import dataclass
from pathlib import Path

import av.error

from rvm_client.config import Settings

_LOG = logging.getLogger(__name__)

# The driver's control device; containers that are given a card have it too.
_CONTROL_DEVICE = "nvidiactl"

# What FFmpeg's wrappers of the driver mean by their error codes, where its own words mislead.
_MEANINGS = {
    errno.EPERM: "the libraries of the NVIDIA driver cannot be loaded",
    errno.ENOSYS: "the driver is older than 570, or the card cannot do this",
    errno.ENOMEM: "the card has no memory left",
}
_REFUSED = "the driver refuses; the card may lack this engine, or have no session of it free"
_said = set[str]()


@dataclass(frozen=True)
class Hardware:
    """Which codecs may run on an NVIDIA card."""

    device_folder: Path | None = None
    """Where the driver puts its device files: /dev. None: all codecs run in software."""

    @classmethod
    def configured(cls, settings: Settings) -> "Hardware":
        """As the environment says."""
        return cls(Path("/dev") if settings.hardware_codecs == "auto" else None)

    @property
    def has_card(self) -> bool:
        """Whether there seems to be a card; its libraries are not touched to find out."""
        return self.device_folder is not None and (self.device_folder / _CONTROL_DEVICE).exists()


def meaning(exc: BaseException) -> str:
    """Why an engine did not open or stopped working, in words."""
    if isinstance(exc, av.error.ExternalError):
        return _REFUSED
    if isinstance(exc, av.error.FFmpegError) and exc.errno is not None:
        return _MEANINGS.get(exc.errno, exc.strerror or str(exc))
    return str(exc)


def say_once(sentence: str) -> None:
    """Log a warning, unless this process has logged it before: a worker does many jobs."""
    if sentence not in _said:
        _said.add(sentence)
        _LOG.warning(sentence)
