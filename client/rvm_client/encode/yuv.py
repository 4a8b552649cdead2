"""RGB pictures and alpha to the frames that encoders take."""

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from rvm_client.pixels import UInt8Array, plane_rows

# 8-bit alpha to 10 bits with full scale staying full scale: round(a * 1023 / 255).
_ALPHA_10_BIT = np.rint(np.arange(256) * (1023 / 255)).astype(np.uint16)
# Full-range grey as limited-range luma (ITU-T H.273): 16 + round(a * 219 / 255).
_LIMITED_LUMA = (16 + np.rint(np.arange(256) * (219 / 255))).astype(np.uint8)
# The same, with 0 and 255 a little beyond black and white: what the codec adds to them is cut off
# by whoever makes full range of it, and nothing stays nothing.
_BEYOND = 8
_STACKED_LUMA = _LIMITED_LUMA.copy()
_STACKED_LUMA[0] -= _BEYOND
_STACKED_LUMA[-1] += _BEYOND
_NO_CHROMA = 128


def pad_to_even(picture: UInt8Array) -> UInt8Array:
    """Repeat the last row or column where the picture has an odd size."""
    height, width = picture.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return picture
    padding = [(0, height % 2), (0, width % 2)] + [(0, 0)] * (picture.ndim - 2)
    return np.pad(picture, padding, mode="edge")


def rgb_frame(rgb: UInt8Array) -> av.VideoFrame:
    """A frame of RGB [H,W,3]."""
    height, width = rgb.shape[:2]
    frame = av.VideoFrame(width, height, "rgb24")
    rows = plane_rows(frame.planes[0])[:, : width * 3]
    np.copyto(rows.reshape(rgb.shape), rgb)
    return frame


def yuv_frame(rgb: UInt8Array, pix_fmt: str) -> av.VideoFrame:
    """BT.709 limited-range YUV of full-range RGB [H,W,3]; opaque where the format has alpha."""
    return rgb_frame(rgb).reformat(
        format=pix_fmt,
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
    )


def yuva420_frame(rgb: UInt8Array, pha: UInt8Array) -> av.VideoFrame:
    """`yuv_frame` with alpha [H,W], 8 bits."""
    frame = yuv_frame(rgb, "yuva420p")
    plane_rows(frame.planes[3])[:, : pha.shape[1]] = pha
    return frame


def yuva444_10_bit_frame(rgb: UInt8Array, pha: UInt8Array) -> av.VideoFrame:
    """`yuv_frame` with alpha [H,W], 10 bits; 255 becomes 1023."""
    frame = yuv_frame(rgb, "yuva444p10le")
    alpha = plane_rows(frame.planes[3]).view(np.uint16)[:, : pha.shape[1]]
    np.take(_ALPHA_10_BIT, pha, out=alpha, mode="clip")
    return frame


def grey_frame(pha: UInt8Array) -> av.VideoFrame:
    """Alpha [H,W] as grey of limited range: 0 is black, 255 is white."""
    height, width = pha.shape
    frame = av.VideoFrame(width, height, "yuv420p")
    np.take(_LIMITED_LUMA, pha, out=plane_rows(frame.planes[0])[:, :width], mode="clip")
    for plane in frame.planes[1:]:
        plane_rows(plane)[:] = _NO_CHROMA
    return frame


def stacked_frame(colour: av.VideoFrame, pha: UInt8Array) -> av.VideoFrame:
    """A yuv420p frame of twice the height: the colour's, and below it alpha [H,W] as grey.

    Both are of even height, so no sample of chroma belongs to both.
    """
    height, width = pha.shape
    frame = av.VideoFrame(width, 2 * height, "yuv420p")
    for above, plane in zip(colour.planes, frame.planes, strict=True):
        rows = plane_rows(plane)[:, : plane.width]
        rows[: above.height] = plane_rows(above)[:, : above.width]
        rows[above.height :] = _NO_CHROMA
    luma = plane_rows(frame.planes[0])[height:, :width]
    np.take(_STACKED_LUMA, pha, out=luma, mode="clip")
    return frame
