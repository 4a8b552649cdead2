"""Open a stranger's media file, and no other file or address that it may name."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import av
import av.error
from av.audio.stream import AudioStream
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.video.stream import VideoStream

from rvm_client.errors import InputError
from rvm_client.machine import check_memory
from rvm_client.options import Limits

AnyStream = TypeVar("AnyStream", AudioStream, VideoStream)

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
# FFmpeg decodes the first pictures of a file as it opens it.
_MAX_PIXELS = Limits().max_frame_pixels
_LARGEST_OPTION = (1 << 31) - 1


def open_source(
    path: Path, hwaccel: HWAccel | None = None, *, max_frame_pixels: int = _MAX_PIXELS
) -> InputContainer:
    """Open a media file for reading; the caller closes it.

    Args:
        path: the file.
        hwaccel: where its video streams are to be decoded, if not by software.
        max_frame_pixels: above it no picture is decoded that is looked at here.

    Raises:
        InputError: the file is missing, cannot be read, or is no media file.
    """
    options = _OPEN_OPTIONS | size_options(max_frame_pixels)
    try:
        # Titles in old files are in any encoding.
        return av.open(str(path), options=options, hwaccel=hwaccel, metadata_errors="replace")
    except FileNotFoundError as exc:
        raise InputError(f"there is no file {path}") from exc
    except (IsADirectoryError, PermissionError) as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror}") from exc
    except av.error.FFmpegError as exc:
        check_memory()
        raise InputError(f"{path} is not a video that can be read: {exc.strerror}") from exc


def read_packets(container: InputContainer, stream: AnyStream) -> "Iterator[av.Packet[AnyStream]]":
    """The packets of a stream from here on, and an empty one at the end."""
    # At the end PyAV stumbles over streams that begin within the file. The empty packet of one
    # that it knew before has come out by then.
    with suppress(IndexError):
        yield from container.demux(stream)


def size_options(max_frame_pixels: int) -> dict[str, str]:
    """Options of a decoder that refuses larger pictures before it takes memory for them.

    It rounds widths up to a multiple of 64, so there is room; `check_frame_pixels` is exact.
    """
    return {"max_pixels": str(min(2 * max_frame_pixels, _LARGEST_OPTION))}
