"""Decoding on an NVIDIA GPU: which streams it gets, and its frames as software would give them.

FFmpeg reads the stream as ever, and finds damage to its structure as ever. It gives the pictures'
data to NVDEC, which decodes them to the same values as software. Damage inside that data is
painted over by either, each in its own way.
"""

from collections.abc import Iterator

import av
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.video.reformatter import VideoReformatter

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


def suits(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> bool:
    """Whether it is worth trying; whether this GPU can do it, shows when it is tried."""
    context = stream.codec_context
    return (
        _FALLS_BACK
        and _DEVICE in hwdevices_available()
        # Every video stream of the file would get a context on the GPU.
        and len(container.streams.video) == 1
        and context.name in _CODECS
        and context.pix_fmt in _PIXEL_FORMATS
        # Half the last line of an odd height stays on the GPU.
        and context.width % 2 == context.height % 2 == 0
    )


def accelerator() -> HWAccel:
    """For `av.open`; a stream that the GPU refuses comes out decoded by software."""
    return HWAccel(_DEVICE, allow_software_fallback=True)


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


class GivenFrames:
    """Frames that came out before decoding began again, and must not come out twice.

    Where their times only grow, those up to the last time are left out: decoders differ in
    which damaged frames they show. Otherwise as many as there were.
    """

    def __init__(self) -> None:
        self._count = 0
        self._last_pts: int | None = None
        self._grow = True

    def add(self, pts: int | None) -> None:
        """Remember a frame by its time, which whoever gets it may overwrite."""
        self._grow = self._grow and pts is not None and self._is_after_last(pts)
        self._last_pts = pts
        self._count += 1

    def rest_of(self, frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """All frames of the second decoding but those that came out in the first."""
        again = GivenFrames()
        is_over = False
        for frame in frames:
            again.add(frame.pts)
            is_over = is_over or again._goes_beyond(self)
            if is_over:
                yield frame

    def _is_after_last(self, pts: int) -> bool:
        return self._last_pts is None or pts > self._last_pts

    def _goes_beyond(self, first: "GivenFrames") -> bool:
        if not first._grow or not first._count:
            return self._count > first._count
        # A clock that steps back or stops, does so beyond times that only grew.
        pts = self._last_pts
        return not self._grow or pts is None or first._is_after_last(pts)
