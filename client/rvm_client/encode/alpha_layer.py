"""One HEVC video with an alpha layer, by two encoders that know nothing of each other.

Both have the same settings, and none that looks at the pictures to decide where a group of them
begins or which of them are B-frames. So they agree on everything but the pictures: parameter
sets, order, keyframes. `hevc` makes one stream of the two.

They take their frames one after the other: x265 works in threads of its own, which keep all cores
busy already.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import TypeAlias, cast

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext

from rvm_client.errors import LayersDifferError
from rvm_client.hevc import merged_parameters, merged_picture, reorder_delay
from rvm_client.pixels import plane_rows

VideoPacket: TypeAlias = "av.Packet[av.VideoStream]"

# In steps of constant quality. At an edge, errors of alpha show more than those of colour: with the
# same quality some are 33 levels, with this 8, and a file is a tenth larger.
_ALPHA_IS_FINER = 4
# Of a bit rate for both. At constant quality it was 0.37 of one clip and 0.57 of another.
_ALPHA_SHARE = 0.4
_COLOUR_PLANES = slice(0, 3)
_ALPHA_PLANE = 3
_NO_CHROMA = 128


def layer_options(
    options: Mapping[str, str], crf_option: str
) -> tuple[dict[str, str], dict[str, str]]:
    """The options of the encoders of colour and of alpha, of those that are meant for both.

    Alpha is encoded finer, and of a bit rate each gets its part.
    """
    colour, alpha = dict(options), dict(options)
    if crf_option in options:
        alpha[crf_option] = str(int(options[crf_option]) - _ALPHA_IS_FINER)
    if "b" in options:
        bits = int(options["b"])
        alpha["b"] = str(round(bits * _ALPHA_SHARE))
        colour["b"] = str(bits - int(alpha["b"]))
    return colour, alpha


class AlphaLayerEncoder:
    """Encodes frames of 8-bit 4:2:0 with alpha; packets come out in the order of decoding.

    Args:
        colour: the encoder of the output's stream, which is opened here and gets the parameter
            sets of both layers.
        alpha: another one with the same settings, but for how many bits it may take.

    Raises:
        LayersDifferError: from each method: the two do not agree.
        FFmpegError: from each method: one of them refuses.
    """

    def __init__(self, colour: VideoCodecContext, alpha: VideoCodecContext) -> None:
        self._colour, self._alpha = colour, alpha
        for context in (colour, alpha):
            context.open()
        colour.extradata = merged_parameters(colour.extradata or b"", alpha.extradata or b"")
        self._clock = _DecodingClock(colour, reorder_delay(colour.extradata))
        self._waiting: tuple[deque[VideoPacket], deque[VideoPacket]] = (deque(), deque())

    def encode(self, frame: av.VideoFrame | None) -> list[VideoPacket]:
        """Take the next frame, and give what is ready; None: there are no more frames."""
        if frame is not None:
            self._clock.presents(frame)
        self._waiting[0].extend(self._colour.encode(frame and _colour_of(frame)))
        self._waiting[1].extend(self._alpha.encode(frame and _alpha_of(frame)))
        packets = list(self._merged())
        if frame is None and any(self._waiting):
            raise LayersDifferError("colour and alpha have different numbers of pictures")
        return packets

    def _merged(self) -> Iterator[VideoPacket]:
        while all(self._waiting):
            packet = _merged(*(packets.popleft() for packets in self._waiting))
            packet.dts = self._clock.next_dts()
            yield packet


class _DecodingClock:
    """When pictures are decoded: as long before they are shown as reordering takes.

    x265 has times of its own, which are none in a video that is over before the first picture
    comes out.
    """

    def __init__(self, context: VideoCodecContext, delay_pictures: int) -> None:
        self._delay = delay_pictures
        self._step = max(1, round(1 / (context.framerate * context.time_base)))
        self._times: deque[int] = deque()

    def presents(self, frame: av.VideoFrame) -> None:
        """The next frame in order of presentation."""
        assert frame.pts is not None
        if not self._times and self._delay:
            self._times.extend(frame.pts - self._step * n for n in range(self._delay, 0, -1))
            self._delay = 0
        self._times.append(frame.pts)

    def next_dts(self) -> int:
        """The time of the next packet in order of decoding."""
        return self._times.popleft()


def _merged(colour: VideoPacket, alpha: VideoPacket) -> VideoPacket:
    """The packet of colour, with the picture of alpha in it, too."""
    if (colour.pts, colour.is_keyframe) != (alpha.pts, alpha.is_keyframe):
        raise LayersDifferError("pictures of colour and alpha come in different orders")
    both = cast("VideoPacket", av.Packet(merged_picture(bytes(colour), bytes(alpha))))
    both.pts, both.time_base = colour.pts, colour.time_base
    both.duration, both.is_keyframe = colour.duration or 0, colour.is_keyframe
    return both


def _colour_of(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame without its alpha."""
    colour = _opaque_as(frame)
    for source, target in zip(
        frame.planes[_COLOUR_PLANES], colour.planes[_COLOUR_PLANES], strict=True
    ):
        _copy(source, target)
    return colour


def _alpha_of(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame's alpha as luma, which all of 0 to 255 means something in."""
    alpha = _opaque_as(frame)
    _copy(frame.planes[_ALPHA_PLANE], alpha.planes[0])
    for plane in alpha.planes[1:]:
        plane_rows(plane)[:] = _NO_CHROMA
    return alpha


def _opaque_as(frame: av.VideoFrame) -> av.VideoFrame:
    """A frame without content, of the same size and time."""
    made = av.VideoFrame(frame.width, frame.height, "yuv420p")
    made.pts, made.time_base = frame.pts, frame.time_base
    return made


def _copy(source: av.video.plane.VideoPlane, target: av.video.plane.VideoPlane) -> None:
    width = target.width
    np.copyto(plane_rows(target)[:, :width], plane_rows(source)[:, :width])
