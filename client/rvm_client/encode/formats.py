"""How each kind of output file is encoded."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import av
from PIL import features

from rvm_client.errors import ConfigError
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType


@dataclass(frozen=True)
class HardwareEncoder:
    """An encoder on a GPU that makes the same kind of stream as a format's own."""

    codec: str
    codec_options: Mapping[str, str]
    quality_options: Mapping[str, str]
    """What changes where quality is preferred to speed."""
    crf_option: str
    """What it calls constant quality. Its scale is the format's."""

    def options_for(self, options: MatteOptions) -> dict[str, str]:
        """The encoder's options, as FFmpeg names them."""
        return _chosen(self.codec_options, self.quality_options, self.crf_option, options)


@dataclass(frozen=True)
class VideoFormat:
    """One container with one video codec in it."""

    crf_option: ClassVar[str] = "crf"
    container: str
    codec: str
    pix_fmt: str
    """Of the frames that are made for it."""
    needs_even_size: bool
    """Odd pictures get one more column or row, a copy of the last one."""
    has_alpha_layer: bool = False
    """Alpha is a second layer of the stream, see `alpha_layer`: each has an encoder of its own."""
    codec_tag: str | None = None
    """What the container calls the codec, where it has several names for it."""
    keeps_pixel_shape: bool = True
    """Its file can say that pixels are not square; else pictures are scaled until they are."""
    is_stacked: bool = False
    """The alpha is a second picture, below the colour in the same frame."""
    codec_options: Mapping[str, str] = field(default_factory=dict)
    quality_options: Mapping[str, str] = field(default_factory=dict)
    """What changes where quality is preferred to speed."""
    container_options: Mapping[str, str] = field(default_factory=dict)
    hardware: HardwareEncoder | None = None
    """Tried first where there is a GPU."""
    cores_per_encoder: int | None = None
    """What one encoder keeps busy at most; more cores get more of them, see `segments`. None:
    its threads use all cores."""

    @property
    def encoded_pix_fmt(self) -> str:
        """What one encoder takes."""
        return "yuv420p" if self.has_alpha_layer else self.pix_fmt

    def options_for(self, options: MatteOptions) -> dict[str, str]:
        """The encoder's options, as FFmpeg names them."""
        return _chosen(self.codec_options, self.quality_options, self.crf_option, options)


def _chosen(
    usual: Mapping[str, str], quality: Mapping[str, str], crf_option: str, options: MatteOptions
) -> dict[str, str]:
    chosen = dict(usual)
    if options.prefer_quality:
        chosen |= quality
    if options.crf is not None:
        chosen[crf_option] = str(options.crf)
    if options.bitrate_bits_per_second is not None:
        chosen.pop(crf_option, None)
        chosen["b"] = str(options.bitrate_bits_per_second)
    return chosen


# Without options that only some GPUs have, such as temporal AQ or B-frames as references.
NVENC = HardwareEncoder(
    codec="h264_nvenc",
    codec_options={
        "preset": "p4",
        "tune": "hq",
        # libx264's, too, but not NVENC's default.
        "profile": "high",
        "rc": "vbr",
        "cq": "18",
        # As libx264 does: errors show most where a picture is smooth.
        "spatial-aq": "1",
    },
    quality_options={"preset": "p7", "cq": "16", "multipass": "fullres", "rc-lookahead": "20"},
    crf_option="cq",
)

H264 = VideoFormat(
    container="mp4",
    codec="libx264",
    pix_fmt="yuv420p",
    needs_even_size=True,
    codec_options={"preset": "veryfast", "crf": "18"},
    quality_options={"preset": "slow", "crf": "16"},
    # The index comes first, so that a player can start before it has the whole file.
    container_options={"movflags": "+faststart"},
    hardware=NVENC,
)

# The colour, and below it the alpha as grey.
H264_STACKED = replace(H264, is_stacked=True)

VP9_ALPHA = VideoFormat(
    container="webm",
    codec="libvpx-vp9",
    pix_fmt="yuva420p",
    needs_even_size=False,
    # PyAV gives the Matroska muxer no shape of pixels to write.
    keeps_pixel_shape=False,
    codec_options={
        "deadline": "realtime",
        "cpu-used": "6",
        "row-mt": "1",
        "tile-columns": "2",
        "crf": "24",
        "b": "0",
        # libvpx refuses alternate reference frames together with alpha.
        "auto-alt-ref": "0",
        # Nothing looks ahead without them, and each frame of lag costs 9 MB at 1080p.
        "lag-in-frames": "0",
    },
    quality_options={"deadline": "good", "cpu-used": "3", "crf": "18"},
    # At 1080p its calling thread works 38 ms a frame alone, 14 with three more, 15 with seven.
    cores_per_encoder=4,
)

PRORES_ALPHA = VideoFormat(
    container="mov", codec="prores_aw", pix_fmt="yuva444p10le", needs_even_size=True
)

# Nothing here may decide by what the pictures show: then colour and alpha would differ in order
# and keyframes. So B-frames are in fixed places or none, and keyframes at fixed distances.
HEVC_NVENC = HardwareEncoder(
    codec="hevc_nvenc",
    codec_options={
        "preset": "p4",
        "tune": "hq",
        "profile": "main",
        "rc": "vbr",
        "cq": "20",
        "spatial-aq": "1",
        "bf": "0",
        "g": "120",
        "no-scenecut": "1",
        "strict_gop": "1",
        "forced-idr": "1",
    },
    quality_options={"preset": "p7", "cq": "18", "multipass": "fullres"},
    crf_option="cq",
)

HEVC_ALPHA = VideoFormat(
    container="mov",
    codec="libx265",
    pix_fmt="yuva420p",
    needs_even_size=True,
    has_alpha_layer=True,
    # Apple's players take no other name.
    codec_tag="hvc1",
    codec_options={
        "preset": "superfast",
        "crf": "20",
        "x265-params": "keyint=120:min-keyint=120:scenecut=0:open-gop=0:b-adapt=0"
        ":info=0:log-level=error",
    },
    quality_options={"preset": "medium", "crf": "18"},
    container_options={"movflags": "+faststart"},
    hardware=HEVC_NVENC,
)

VIDEO_FORMATS = {
    OutputType.GREENSCREEN: H264,
    OutputType.ALPHA: VP9_ALPHA,
    OutputType.ALPHA_PRORES: PRORES_ALPHA,
    OutputType.ALPHA_HEVC: HEVC_ALPHA,
    OutputType.MATTE: H264,
    OutputType.FOREGROUND_AND_MATTE: H264,
    OutputType.ALPHA_STACKED: H264_STACKED,
}


_PICTURE_CODECS = {
    OutputType.PNG_SEQUENCE: "png",
    OutputType.GIF: "gif",
}
_PILLOW_FEATURES = {OutputType.ANIMATED_WEBP: "webp", OutputType.ANIMATED_AVIF: "avif"}


def check_encoders() -> None:
    """Make sure that every encoder we need is in these builds of FFmpeg and Pillow.

    Raises:
        ConfigError: naming the one that is missing.
    """
    codecs = {output_type: format_.codec for output_type, format_ in VIDEO_FORMATS.items()}
    for output_type, codec in (codecs | _PICTURE_CODECS).items():
        if codec not in av.codecs_available:
            raise ConfigError(
                f"this build of FFmpeg has no encoder {codec}, which {output_type.value} "
                "needs; reinstall the package av from its wheel"
            )
    for output_type, feature in _PILLOW_FEATURES.items():
        if not features.check(feature):
            raise ConfigError(
                f"this build of Pillow has no {feature}, which {output_type.value} needs; "
                "reinstall the package pillow from its wheel"
            )
