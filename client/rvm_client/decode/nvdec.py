"""Decoding on an NVIDIA GPU: which streams it gets, and its frames as software would give them.

FFmpeg reads the stream as ever, and finds damage to its structure as ever. It gives the pictures'
data to NVDEC, which decodes them to the same values as software. Damage inside that data is
painted over by either, each in its own way.
"""

from collections.abc import Iterator

import av
import av.error
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.video.reformatter import VideoReformatter

from rvm_client.closing import Closing
from rvm_client.decode.stream import DamageError, Source, SourceStream
from rvm_client.errors import InputError
from rvm_client.machine import meaning

# AV1 is decoded by libdav1d, which the GPU cannot help.
_CODECS = ("h264", "hevc", "vp8", "vp9", "mpeg2video")
# 4:2:0 of 8 and 10 bits, and what the GPU makes of it. The conversion back moves samples only.
_PIXEL_FORMATS = ("yuv420p", "yuvj420p", "yuv420p10le")
_PLANAR = {"nv12": "yuv420p", "p010le": "yuv420p10le"}
_DEVICE = "cuda"
# Before 17, PyAV crashes where the GPU refuses a stream.
_FALLS_BACK = int(av.__version__.split(".")[0]) >= 17


class HardwareError(Exception):
    """The GPU cannot decode this stream, or not further."""


def suits(stream: SourceStream) -> bool:
    """Whether it is worth trying; whether this GPU can do it, shows when it is tried."""
    context = stream.stream.codec_context
    return (
        _FALLS_BACK
        and _DEVICE in hwdevices_available()
        # Every video stream of the file would get a context on the GPU.
        and len(stream.container.streams.video) == 1
        and context.name in _CODECS
        and context.pix_fmt in _PIXEL_FORMATS
        # Half the last line of an odd height stays on the GPU.
        and context.width % 2 == context.height % 2 == 0
    )


def accelerator() -> HWAccel:
    """For `av.open`; a stream that the GPU refuses comes out decoded by software."""
    # The process's own context, which all open files share: one each costs memory of the GPU.
    return HWAccel(_DEVICE, allow_software_fallback=True, options={"primary_ctx": "1"})


class NvdecDecoder(Closing):
    """Decodes up to the first damage, or anything else that is not as software would have it.

    The GPU is not touched before the first frame is asked for.

    Args:
        source: the file.
        codec: FFmpeg's name of what decodes it by software.
    """

    damaged_packets = 0

    def __init__(self, source: Source, codec: str) -> None:
        self.name = f"{codec}_nvdec"
        self._source = source
        self._stream: SourceStream | None = None

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()

    def frames(self, near_pts: int | None) -> Iterator[av.VideoFrame]:
        """See Decoder.

        Raises:
            HardwareError: the GPU cannot decode it, or not further.
        """
        is_empty = True
        try:
            for frame in self._frames(near_pts):
                is_empty = False
                yield frame
        except (DamageError, InputError, av.error.FFmpegError) as exc:
            # FFmpeg's error may have become ours.
            raise HardwareError(meaning(exc.__cause__ or exc)) from exc
        if is_empty:
            raise HardwareError("frames are missing")

    def _frames(self, near_pts: int | None) -> Iterator[av.VideoFrame]:
        # The GPU is no faster with more threads, and each takes one of its 32 surfaces.
        self._stream = stream = self._stream or SourceStream(
            self._source, thread_type="SLICE", thread_count=1, accelerator=accelerator()
        )
        stream.begin(near_pts)
        context = stream.stream.codec_context
        yield from map(Planar(context.width, context.height).frame, stream.frames())


class Planar:
    """Turns frames of the GPU into those of a software decoder.

    Args:
        width_pixels, height_pixels: of the pictures, by the header.
    """

    def __init__(self, width_pixels: int, height_pixels: int) -> None:
        self._size = width_pixels, height_pixels
        self._reformatter = VideoReformatter()

    def frame(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The same picture with its times and tags, in planes of their own.

        Raises:
            HardwareError: it was not decoded by the GPU, or not as software would have done.
        """
        planar = _PLANAR.get(frame.format.name)
        if planar is None:
            raise HardwareError("the GPU cannot decode this kind or size of video")
        if (frame.width, frame.height) != self._size:
            # FFmpeg does not cut off what lies left of or above a picture on the GPU.
            raise HardwareError("the size of the picture changes, or is cut out of a larger one")
        if frame.is_corrupt:
            raise HardwareError("the video is damaged")
        return self._reformatter.reformat(frame, format=planar)
