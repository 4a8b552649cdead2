"""A video as browsers play it: H.264 of the same frames at the same times. Nothing is matted."""

import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from rvm_client.encode import open_writer, takes_planes
from rvm_client.frames import MatteChunk, SourceChunk, VideoInfo
from rvm_client.isolated import Opener
from rvm_client.machine import naming_want_of_memory
from rvm_client.options import Limits, MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pipeline.parts import check_cancelled, open_sound

_FRAMES_PER_CHUNK = 4


def make_proxy(
    source: Path,
    target: Path,
    options: MatteOptions,
    limits: Limits,
    opener: Opener,
    cancelled: threading.Event,
) -> tuple[VideoInfo, int]:
    """Write the part of `source` that `options` name. All or nothing is written.

    Args:
        source: a media file.
        target: the MP4 file to write.
        options: trim, bounds of the picture, and whether there is sound.
        limits: what the source may be.
        opener: opens the source.
        cancelled: set by another thread to stop.

    Returns:
        What the source is, as the options have it, and how many frames were written.

    Raises:
        InputError, OutputError, StoppedError, OutOfMemoryError: as `matte_video`.
    """
    options = replace(_PLAIN, **{name: getattr(options, name) for name in _HEEDED})
    with naming_want_of_memory(), ExitStack() as stack:
        reader = stack.enter_context(
            opener.video(source, options, limits, takes_planes=takes_planes(options))
        )
        sound = open_sound(stack, opener, source, options, reader.info, [])
        writer = stack.enter_context(open_writer(target, options, reader.info, sound=sound))
        for chunk in reader.chunks(_FRAMES_PER_CHUNK):
            check_cancelled(cancelled)
            writer.write(_opaque(chunk, reader.info))
    return reader.info, writer.frames_written


_PLAIN = MatteOptions(OutputType.GREENSCREEN, warm_start=False)
_HEEDED = ("audio", "start_seconds", "end_seconds", "max_width_pixels", "max_height_pixels")


def _opaque(chunk: SourceChunk, info: VideoInfo) -> MatteChunk:
    shape = (len(chunk.pts), info.height_pixels, info.width_pixels)
    return MatteChunk(chunk.src, np.full(shape, 255, np.uint8), chunk.pts)
