"""HEVC with an alpha layer, by two decoders: PyAV leaves FFmpeg's own way to it closed."""

from collections import deque
from typing import cast

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from rvm_client.hevc import ALPHA_LAYER, Configuration, alone
from rvm_client.pixels import plane_rows


def alpha_layer_of(context: VideoCodecContext) -> Configuration | None:
    """What a stream says of itself, if it has a layer of alpha."""
    if context.name != "hevc" or context.pix_fmt != "yuv420p":
        return None
    configuration = Configuration.parse(context.extradata or b"")
    has_alpha = configuration is not None and configuration.has_layer(ALPHA_LAYER)
    return configuration if has_alpha else None


class AlphaLayerDecoder:
    """Gives frames with alpha; in all else as one of PyAV's decoders.

    Args:
        colour: the stream's own decoder, which passes over the alpha.
        configuration: what the stream says of itself.
    """

    def __init__(self, colour: VideoCodecContext, configuration: Configuration) -> None:
        alpha = av.CodecContext.create("hevc", "r")
        assert isinstance(alpha, VideoCodecContext)
        self.contexts = (colour, alpha)
        """Of FFmpeg; what is set up of one is to be set up of the other."""
        self._configuration = configuration
        alpha.extradata = alone(configuration.units, ALPHA_LAYER)
        self._waiting: tuple[deque[av.VideoFrame], deque[av.VideoFrame]] = (deque(), deque())

    @property
    def name(self) -> str:
        """FFmpeg's name of it."""
        return self.contexts[0].name

    def flush_buffers(self) -> None:
        """Forget what is waiting; a keyframe comes next."""
        for context, waiting in zip(self.contexts, self._waiting, strict=True):
            context.flush_buffers()
            waiting.clear()

    def decode(self, packet: "av.Packet[VideoStream] | None") -> list[av.VideoFrame]:
        """The next frames, yuva420p."""
        self._waiting[0].extend(self.contexts[0].decode(packet))
        self._waiting[1].extend(self.contexts[1].decode(self._alpha_of(packet)))
        both = []
        while all(self._waiting):
            both.append(_with_alpha(*(frames.popleft() for frames in self._waiting)))
        return both

    def _alpha_of(self, packet: "av.Packet[VideoStream] | None") -> "av.Packet[VideoStream] | None":
        if packet is None or not packet.size:
            return packet
        units = self._configuration.split(bytes(packet))
        alpha = cast("av.Packet[VideoStream]", av.Packet(alone(units, ALPHA_LAYER)))
        alpha.pts, alpha.dts, alpha.time_base = packet.pts, packet.dts, packet.time_base
        return alpha


def _with_alpha(colour: av.VideoFrame, alpha: av.VideoFrame) -> av.VideoFrame:
    both = av.VideoFrame(colour.width, colour.height, "yuva420p")
    both.pts, both.time_base = colour.pts, colour.time_base
    both.colorspace, both.color_range = colour.colorspace, colour.color_range
    both.color_primaries, both.color_trc = colour.color_primaries, colour.color_trc
    for source, target in zip([*colour.planes, alpha.planes[0]], both.planes, strict=True):
        width = target.width
        np.copyto(plane_rows(target)[:, :width], plane_rows(source)[:, :width])
    return both
