"""What the colour tags of a decoded frame mean, by the codes of ITU-T H.273."""

from dataclasses import dataclass

import av
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from rvm_client.errors import InputError
from rvm_client.pixels import I420, LUMA_WEIGHTS, yuv_to_rgb

# Matrix codes that name no YUV matrix: 0 is RGB, 2 is "unspecified", 3 is reserved.
_NO_MATRIX = (0, 2, 3)
_BT2020_NCL = 9
_HDR_TRANSFERS = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
# Where a file does not say: BT.709 from this height on, BT.601 below, as players do.
_HD_HEIGHT_PIXELS = 720
# H.273 codes of primaries and transfer that say nothing: reserved, unspecified.
_SAY_NOTHING = (0, 2, 3)


@dataclass(frozen=True)
class SourceColour:
    """How the pixels of a frame are to be read. Codes of ITU-T H.273."""

    matrix: int
    full_range: bool
    primaries: int
    transfer: int
    bits: int
    """The bits of one component."""
    is_rgb: bool = False
    is_grey: bool = False

    @property
    def is_hdr(self) -> bool:
        """PQ or HLG: more light than 8-bit RGB can say."""
        return self.transfer in _HDR_TRANSFERS

    @property
    def is_deep(self) -> bool:
        """Whether there is more in it than 8 bits can say."""
        return self.bits > 8 or self.is_hdr

    @property
    def white_16_bit(self) -> int:
        """What swscale makes of white in 16-bit RGB: the bits of YUV are only shifted up."""
        if self.is_rgb or self.is_hdr:
            return 0xFFFF
        return ((1 << self.bits) - 1) << (16 - self.bits) if self.full_range else 0xFF00

    @property
    def range_code(self) -> int:
        """FFmpeg's name of the range."""
        return int(ColorRange.JPEG if self.full_range else ColorRange.MPEG)

    @property
    def layout(self) -> I420:
        """The layout of 8-bit 4:2:0 planes with these colours."""
        return I420(yuv_to_rgb(self.matrix, full_range=self.full_range))


def source_colour(frame: av.VideoFrame) -> SourceColour:
    """Read the tags of a frame; what is not tagged is taken as players take it.

    Raises:
        InputError: the matrix is one that cannot be converted, such as ICtCp.
    """
    is_rgb = frame.format.is_rgb
    full = is_rgb or frame.format.name.startswith("yuvj")
    return SourceColour(
        matrix=int(Colorspace.ITU709) if is_rgb else _matrix(frame),
        full_range=full or frame.color_range == ColorRange.JPEG,
        primaries=_tag(frame.color_primaries, int(ColorPrimaries.BT709)),
        transfer=_tag(frame.color_trc, int(ColorTrc.BT709)),
        bits=max(component.bits for component in frame.format.components),
        is_rgb=is_rgb,
        is_grey=len(frame.format.components) == 1 and not is_rgb,
    )


def _tag(code: int, unspecified: int) -> int:
    return unspecified if code in _SAY_NOTHING else int(code)


def _matrix(frame: av.VideoFrame) -> int:
    if frame.colorspace in LUMA_WEIGHTS:
        return int(frame.colorspace)
    if frame.colorspace not in _NO_MATRIX:
        raise InputError(
            f"the colours of the video use matrix {int(frame.colorspace)} of ITU-T H.273, which "
            "cannot be converted to RGB; convert the video to BT.709 first"
        )
    if frame.color_trc in _HDR_TRANSFERS:
        return _BT2020_NCL
    return int(Colorspace.ITU709 if frame.height >= _HD_HEIGHT_PIXELS else Colorspace.ITU601)
