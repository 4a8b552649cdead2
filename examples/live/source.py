"""Where frames come from: a camera, a file played in real time, or a test pattern."""

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.error
import click
import numpy as np

from .slot import Frame, Slot, UInt8Array

# Of the test pattern, and asked of the camera.
FPS = 30
Size = tuple[int, int]
"""Width and height in pixels."""


class Source:
    """Frames at their own pace, put into a slot by a thread. A context manager.

    Args:
        frames: waits for each.
        slot: gets them, and the end.
    """

    def __init__(self, frames: Iterator[Frame], slot: Slot) -> None:
        self._frames = frames
        self._slot = slot
        self._is_closed = False
        # A camera that hangs must not hold the program's end.
        self._thread = threading.Thread(target=self._run, name="source", daemon=True)

    def __enter__(self) -> "Source":
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._is_closed = True
        self._thread.join(timeout=1)

    def _run(self) -> None:
        try:
            for frame in self._frames:
                if self._is_closed:
                    break
                self._slot.put(frame)
        except Exception as exc:
            self._slot.end(exc)
        else:
            self._slot.end()


def open_source(name: str, device: str, size: Size) -> Iterator[Frame]:
    """The frames of `test`, of `camera` or of a file.

    Args:
        name: which of them.
        device: the camera's.
        size: of the test pattern; the others are scaled down to fit.

    Raises:
        ClickException: there is no such thing, or no video in it.
    """
    if name == "test":
        return _paced((i / FPS, pattern(i, size)) for i in itertools.count())
    try:
        if name == "camera":
            options = {"video_size": "{}x{}".format(*size), "framerate": str(FPS)}
            return _captured(av.open(device, format="v4l2", options=options), size)
        container = av.open(str(Path(name)))
        if not container.streams.video:
            raise click.ClickException(f"the file {name} has no video")
    except (OSError, ValueError, av.error.FFmpegError) as exc:
        what = f"the camera {device}" if name == "camera" else f"the video {name}"
        raise click.ClickException(f"{what} cannot be opened: {_reason(exc)}") from exc
    return _paced(_decoded(container, size))


def pattern(index: int, size: Size) -> UInt8Array:
    """A figure that walks over a wall of colours, [H,W,3]."""
    width, height = size
    rows, columns = np.ogrid[:height, :width]
    picture = np.empty((height, width, 3), np.uint8)
    picture[..., 0] = columns * 200 // width
    picture[..., 1] = rows * 200 // height
    picture[..., 2] = (columns // 16 + rows // 16) % 2 * 60 + 60
    x = width // 2 + int(width / 4 * np.sin(index / FPS))
    head = (columns - x) ** 2 + (rows - height // 3) ** 2 < (height // 8) ** 2
    body = ((columns - x) / (height / 4)) ** 2 + ((rows - height) / (height / 2)) ** 2 < 1
    picture[body] = (40, 50, 90)
    picture[head] = (225, 180, 150)
    return picture


def _paced(pictures: Iterator[tuple[float, UInt8Array]]) -> Iterator[Frame]:
    """Each picture at its time since the first one."""
    started_s: float | None = None
    for seconds, picture in pictures:
        started_s = time.monotonic() - seconds if started_s is None else started_s
        time.sleep(max(0.0, started_s + seconds - time.monotonic()))
        yield Frame(picture, time.monotonic())


def _decoded(container: Any, size: Size) -> Iterator[tuple[float, UInt8Array]]:
    for frame in _read(container):
        yield frame.time or 0.0, _rgb(frame, size)


def _captured(container: Any, size: Size) -> Iterator[Frame]:
    """A camera sets the pace itself."""
    for frame in _read(container):
        captured_s = time.monotonic()
        yield Frame(_rgb(frame, size), captured_s)


def _read(container: Any) -> Iterator[av.VideoFrame]:
    try:
        with container:
            yield from container.decode(video=0)
    except av.error.FFmpegError as exc:
        raise click.ClickException(f"the source cannot be read: {_reason(exc)}") from exc


def _rgb(frame: av.VideoFrame, size: Size) -> UInt8Array:
    scale = min(size[0] / frame.width, size[1] / frame.height, 1.0)
    width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    return np.asarray(frame.to_ndarray(format="rgb24", width=width, height=height), np.uint8)


def _reason(exc: BaseException) -> str:
    return getattr(exc, "strerror", None) or str(exc)
