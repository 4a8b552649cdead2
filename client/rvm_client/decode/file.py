"""Open a stranger's media file, and no other file or address that it may name."""

from pathlib import Path

import av
import av.error
from av.codec.hwaccel import HWAccel

from rvm_client.errors import InputError

# Containers of real video. Playlists (HLS, DASH, concat) are not among them: they make
# FFmpeg open other files and addresses.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2",
    "matroska,webm",
    "asf",
    "avi",
    "flv",
    "h264",
    "hevc",
    "ivf",
    "mpeg",
    "mpegts",
    "mxf",
    "nut",
    "ogg",
    "yuv4mpegpipe",
)
_OPEN_OPTIONS = {"format_whitelist": ",".join(_FORMATS), "protocol_whitelist": "file"}


def open_source(path: Path, hwaccel: HWAccel | None = None) -> av.container.InputContainer:
    """Open a media file for reading; the caller closes it.

    `hwaccel` is where its video streams are to be decoded, if not by software.

    Raises:
        InputError: the file is missing, cannot be read, or is no media file.
    """
    try:
        return av.open(str(path), options=_OPEN_OPTIONS, hwaccel=hwaccel)
    except FileNotFoundError as exc:
        raise InputError(f"there is no file {path}") from exc
    except (IsADirectoryError, PermissionError) as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror}") from exc
    except av.error.FFmpegError as exc:
        raise InputError(f"{path} is not a video that can be read: {exc.strerror}") from exc
