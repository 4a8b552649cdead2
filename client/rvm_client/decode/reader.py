"""Video file to chunks of frames: upright, progressive, full range, each frame at its own time."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from rvm_client.closing import Closing
from rvm_client.decode.colour import SourceColour
from rvm_client.decode.decoder import SourceDecoder
from rvm_client.decode.geometry import geometry
from rvm_client.decode.info import check_header, check_shown_pixels, describe
from rvm_client.decode.planar import colour_of_planes, planar_pictures
from rvm_client.decode.rgb import rgb_pictures
from rvm_client.decode.stills import rgba
from rvm_client.decode.trim import Place, open_range
from rvm_client.frames import MatteChunk, Role, SourceChunk, VideoInfo
from rvm_client.options import Limits, MatteOptions
from rvm_client.pixels import UInt8Array


class _Picture(Protocol):
    def copy_to(self, out: UInt8Array) -> None: ...


NewChunk = Callable[[tuple[int, ...]], UInt8Array]
"""Gives the memory for the frames of a chunk, by its shape."""


def _own_memory(shape: tuple[int, ...]) -> UInt8Array:
    return np.empty(shape, np.uint8)


class Reader(Protocol):
    """An open video: a VideoReader, or one in another process."""

    info: VideoInfo

    @property
    def damaged_packets(self) -> int:
        """See VideoReader."""

    @property
    def decoder(self) -> str:
        """See VideoReader."""

    def chunks(self, frames_per_chunk: int) -> Iterator[SourceChunk]:
        """See VideoReader."""

    def mattes(self) -> Iterator[MatteChunk]:
        """See VideoReader."""

    def __enter__(self) -> "Reader": ...
    def __exit__(self, *exc_info: object) -> None: ...


class VideoReader(Closing):
    """An open video file, or the part of one that the options ask for; a context manager.

    Args:
        path: a media file.
        options: `start_seconds`, `end_seconds` and the bounds of the picture choose what comes
            out; with `warm_start`, frames before the start come first, with the role WARM_UP.
        limits: what the source may be at most, and where a GPU may be.
        keeps_alpha: decode the alpha of WebM files and of HEVC, too, for `mattes`.
        takes_planes: whether frames may come as I420; they do where that is how they are stored
            and nothing has to be done to them. `info.layout` says which.

    Raises:
        InputError: the file is missing, is no video, has no frame that can be decoded, is above
            a limit, or has nothing in the part asked for.
    """

    def __init__(
        self,
        path: Path,
        options: MatteOptions | None = None,
        limits: Limits | None = None,
        *,
        keeps_alpha: bool = False,
        takes_planes: bool = False,
    ) -> None:
        options, limits = options or MatteOptions(), limits or Limits()
        self._is_accurate = options.prefer_quality
        self._decoder = SourceDecoder(path, limits, keeps_alpha=keeps_alpha)
        try:
            check_header(path, self._decoder.header, options, limits)
            self._range = open_range(path, self._decoder, options, limits)
            self._geometry = geometry(
                self._range.first_frame,
                self._decoder.header.sample_aspect_ratio,
                options.max_width_pixels,
                options.max_height_pixels,
            )
            check_shown_pixels(path, self._geometry, limits)
            self.info = describe(self._decoder.header, options, self._range, self._geometry)
            self._frames_before = options.segment.frames_before if options.segment else 0
            self._planes = self._colour_of_planes() if takes_planes else None
            if self._planes is not None:
                self.info = replace(self.info, layout=self._planes.layout)
        except BaseException:
            self._decoder.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._decoder.close()

    @property
    def damaged_packets(self) -> int:
        """Packets passed over so far because they could not be read or decoded."""
        return self._decoder.damaged_packets

    @property
    def decoder(self) -> str:
        """FFmpeg's name of the decoder that is in use; `..._nvdec` on a GPU."""
        return self._decoder.name

    def chunks(
        self, frames_per_chunk: int, new_chunk: NewChunk = _own_memory
    ) -> Iterator[SourceChunk]:
        """All frames in order of presentation, `frames_per_chunk` at a time; once only.

        A chunk has fewer frames at the end, where the role changes, and at the start of a segment
        that begins within a chunk of the whole. `new_chunk` gives the memory for each, and is
        asked for the next one when this one has been taken.

        Raises:
            InputError: the picture size changes on the way, or a limit is passed.
        """
        info = self.info
        frame_shape = info.layout.frame_shape(info.height_pixels, info.width_pixels)
        shape = (frames_per_chunk, *frame_shape)
        src, pts, role = new_chunk(shape), list[int](), Role.FRAMES
        first = most = frames_per_chunk - self._frames_before % frames_per_chunk
        for picture, place in self._pictures():
            if pts and (len(pts) == most or place.role is not role):
                yield SourceChunk(src[: len(pts)], tuple(pts), role)
                src, pts = new_chunk(shape), []
            if not pts and place.role is Role.FRAMES:
                most, first = first, frames_per_chunk
            elif not pts:
                most = frames_per_chunk
            picture.copy_to(src[len(pts)])
            pts.append(place.pts)
            role = place.role
        if pts:
            yield SourceChunk(src[: len(pts)], tuple(pts), role)

    def _pictures(self) -> Iterator[tuple[_Picture, Place]]:
        frames = self._range.frames
        if self._planes is not None:
            return planar_pictures(frames, self._geometry, self._planes)
        return rgb_pictures(frames, self._geometry, accurate=self._is_accurate)

    def _colour_of_planes(self) -> SourceColour | None:
        return colour_of_planes(self._range.first_frame, self._geometry, accurate=self._is_accurate)

    def mattes(self) -> Iterator[MatteChunk]:
        """The frames of a video that carries alpha, one at a time, as they are stored.

        Raises:
            InputError: as `chunks`.
        """
        for frame, place in self._range.frames:
            picture = rgba(frame)[np.newaxis]
            yield MatteChunk(picture[..., :3], picture[..., 3], (place.pts,))


def check_source(path: Path, options: MatteOptions, limits: Limits) -> None:
    """Open the file and decode a frame, so that a bad one is refused before anything costly.

    Raises:
        InputError: as VideoReader.
    """
    # One frame is not worth waking a GPU for.
    with VideoReader(path, options, limits.in_software()):
        pass
