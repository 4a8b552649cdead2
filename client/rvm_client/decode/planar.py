"""Decoded frames to I420 pictures: nearly always the planes as they are.

A video may stop being so simple on its way: it turns interlaced, or its tags change. Such frames
become RGB pictures by `rgb`, and these become planes with the colours of the first frame.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import av
import numpy as np
from av.video.reformatter import ColorRange

from rvm_client.decode.colour import SourceColour, source_colour
from rvm_client.decode.geometry import Geometry
from rvm_client.decode.graphs import Conversion
from rvm_client.decode.rgb import DirectRgb, RgbPicture, pictures
from rvm_client.pixels import UInt8Array, plane_rows, planes

T = TypeVar("T")


@dataclass(frozen=True)
class StoredPicture:
    """A frame whose planes are taken as they are."""

    frame: av.VideoFrame

    def copy_to(self, out: UInt8Array) -> None:
        """Write it to [H*3/2,W]."""
        luma, chroma = planes(out)
        for plane, target in zip(self.frame.planes, (luma, *chroma), strict=True):
            np.copyto(target, plane_rows(plane)[:, : plane.width])


@dataclass(frozen=True)
class RestoredPicture:
    """A picture that had to become RGB, in planes again."""

    picture: RgbPicture
    colour: SourceColour
    """What the planes are to mean."""

    def copy_to(self, out: UInt8Array) -> None:
        """Write it to [H*3/2,W]."""
        frame = self.picture.frame
        rgb = np.empty((frame.height, frame.width, 3), np.uint8)
        self.picture.copy_to(rgb)
        planar = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
            format="yuv420p",
            src_colorspace=self.colour.matrix,
            dst_colorspace=self.colour.matrix,
            src_color_range=ColorRange.JPEG,
            dst_color_range=self.colour.range_code,
        )
        StoredPicture(planar).copy_to(out)


PlanarPicture = StoredPicture | RestoredPicture


def colour_of_planes(
    frame: av.VideoFrame, geometry: Geometry, *, accurate: bool
) -> SourceColour | None:
    """What the planes of a video mean that begins with this frame.

    None where its frames are not stored as 8-bit 4:2:0 of even size, or need more than a
    conversion of their colours.

    Args:
        frame: the first one.
        geometry, accurate: as for `rgb_pictures`.
    """
    colour, interlaced = source_colour(frame), frame.interlaced_frame
    conversion = Conversion(frame.format.name, colour, geometry, interlaced, accurate)
    is_even = frame.width % 2 == frame.height % 2 == 0
    return colour if conversion.is_direct and is_even and _is_top_down(frame) else None


def planar_pictures(
    frames: Iterable[tuple[av.VideoFrame, T]], geometry: Geometry, colour: SourceColour
) -> Iterator[tuple[PlanarPicture, T]]:
    """As `rgb_pictures`, in planes with the colours of a video's first frame."""
    to_rgb = DirectRgb()

    def direct(frame: av.VideoFrame, own: SourceColour) -> PlanarPicture:
        is_same = (own.matrix, own.full_range) == (colour.matrix, colour.full_range)
        if is_same and _is_top_down(frame):
            return StoredPicture(frame)
        return RestoredPicture(to_rgb(frame, own), colour)

    for picture, companion in pictures(frames, geometry, direct):
        if isinstance(picture, RgbPicture):
            yield RestoredPicture(picture, colour), companion
        else:
            yield picture, companion


def _is_top_down(frame: av.VideoFrame) -> bool:
    """Some decoders of raw video give the last line first."""
    return all(plane.line_size > 0 for plane in frame.planes)
