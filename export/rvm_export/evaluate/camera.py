"""What a camera makes of frames: noise, and the losses of H.264 with 4:2:0."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np

from rvm_export.evaluate.metrics import UInt8Array

_NOISE_LEVELS = 2.5
_CRF = 20


def film(
    frames: Iterable[UInt8Array], file: Path, size: tuple[int, int], rng: np.random.Generator
) -> None:
    """Write frames [H,W,3] as a video, with noise; `size` is width and height, both even."""
    with av.open(str(file), "w", format="mp4") as container:
        # One thread: the same bytes on one machine.
        stream = container.add_stream(
            "libx264", rate=30, options={"crf": str(_CRF), "preset": "fast", "threads": "1"}
        )
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        for frame in frames:
            noisy = np.rint(frame + rng.normal(0, _NOISE_LEVELS, frame.shape))
            picture = np.clip(noisy, 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def developed(file: Path) -> Iterator[UInt8Array]:
    """The frames of such a video."""
    with av.open(str(file)) as container:
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
