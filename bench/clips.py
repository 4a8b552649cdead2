"""Frames and video files to measure with: the golden portrait, panned."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

from rvm_export.verify.goldens import ASTRONAUT, PAN_PIXELS, package_folder, panned

Frames = npt.NDArray[np.uint8]

# Name -> height, width in pixels, downsample ratio.
SIZES = {"720p": (720, 1280, 0.4), "1080p": (1080, 1920, 0.25)}
# The pan turns round after so many frames.
_PAN_FRAMES = 30


def frames(height: int, width: int, count: int) -> Frames:
    """RGB [count,H,W,3]."""
    dy, dx = PAN_PIXELS
    with Image.open(package_folder() / ASTRONAUT[0]) as image:
        size = (width + dx * _PAN_FRAMES, height + dy * _PAN_FRAMES)
        pixels = np.asarray(image.convert("RGB").resize(size, Image.Resampling.BICUBIC))
    there_and_back = (min(t % (2 * _PAN_FRAMES), -t % (2 * _PAN_FRAMES)) for t in range(count))
    return panned(pixels, height, width, there_and_back)


def write_clip(path: Path, height: int, width: int, count: int) -> Path:
    """An MP4 of `count` frames at 30 a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(30), options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        pan = frames(height, width, min(count, 2 * _PAN_FRAMES))
        for index in range(count):
            picture = pan[index % len(pan)]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path
