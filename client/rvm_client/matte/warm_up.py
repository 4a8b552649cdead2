"""Requests before the first job that are what jobs will send.

A GPU chooses its kernels and takes its memory when a shape of frames is new to it, so the first
requests take much longer than those after them.
"""

from itertools import product

import numpy as np

from rvm_client.frames import SourceChunk
from rvm_client.matte.chunk_size import frames_per_request
from rvm_client.matte.model import MattingModel
from rvm_client.matte.transport import ChunkShape
from rvm_client.pixels import I420, RGB, PixelLayout, yuv_to_rgb

# The sizes of most videos, width and height; the larger first, for its memory serves the other.
_SIZES_PIXELS = ((1920, 1080), (1280, 720))
# The first one begins a video, with empty states; two more carry states on.
_REQUESTS = 3
_BT709 = 1


def warm_up(
    model: MattingModel, downsample_ratio: float, *, queue_depth: int, room_bytes: int
) -> None:
    """Send frames of zeros as a job of 1080p and one of 720p do, in each layout that jobs may use.

    To the model that jobs use unless they say otherwise: each more would make the start longer.

    Args:
        model: a connection to the server.
        downsample_ratio: of the jobs, 0 < ratio <= 1.
        queue_depth, room_bytes: as for `frames_per_request`.

    Raises:
        GpuMemoryError: so many frames do not fit into the GPU's memory.
        ServerError: the server failed otherwise.
    """
    layouts: list[PixelLayout] = [RGB]
    if model.takes_planes():
        layouts.append(I420(yuv_to_rgb(_BT709, full_range=False)))
    for (width, height), layout in product(_SIZES_PIXELS, layouts):
        frames = frames_per_request(
            width,
            height,
            on_gpu=model.runs_on_gpu,
            layout=layout,
            queue_depth=queue_depth,
            room_bytes=room_bytes,
        )
        src = np.zeros((frames, *layout.frame_shape(height, width)), np.uint8)
        chunks = [SourceChunk(src, tuple(range(frames)))] * _REQUESTS
        with model.session(
            downsample_ratio,
            ChunkShape(frames, height, width),
            layout,
            queue_depth=queue_depth,
            room_bytes=room_bytes,
        ) as session:
            for chunk in session.staged(chunks):
                session.matte(chunk)
