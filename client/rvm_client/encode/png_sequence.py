"""A zip file of RGBA PNG pictures, for editors that take image sequences."""

import zipfile
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av

from rvm_client.encode.edges import bleed_edges
from rvm_client.encode.file import OutputFile
from rvm_client.frames import Picture
from rvm_client.machine import available_cores
from rvm_client.pixels import UInt8Array, plane_rows

# Fast; higher levels take several times as long for a few percent.
_PNG_OPTIONS = {"compression_level": "1", "pred": "mixed"}
_TIMES_NAME = "timestamps.txt"


class PngSequence(OutputFile):
    """frame_000001.png and so on, and the time of each; see OutputFile.

    The pictures are already compressed, so the zip stores them as they are. As many are made at
    the same time as the job has cores; no more wait in memory. `timestamps.txt` has the
    presentation times in milliseconds ("timestamp format v2" of mkvmerge), because pictures
    carry none.
    """

    def __init__(self, path: Path, jobs_at_once: int = 1) -> None:
        super().__init__(path)
        self.encoder = "png"
        self._workers = max(1, available_cores() // jobs_at_once)
        self._waiting: deque[Future[bytes]] = deque()
        self._count = 0
        self._times = ["# timestamp format v2"]
        self._zip: zipfile.ZipFile | None = None

    def _open(self) -> None:
        self._zip = zipfile.ZipFile(self._partial, "w", zipfile.ZIP_STORED)
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="png")

    def _write(self, picture: Picture) -> None:
        self._times.append(f"{1000 * picture.seconds:.3f}")
        kept = picture.kept()
        self._waiting.append(self._pool.submit(encode_png, kept.fgr, kept.pha))
        while len(self._waiting) > self._workers:
            self._store_next()

    def _finish(self) -> None:
        assert self._zip is not None
        while self._waiting:
            self._store_next()
        self._store(_TIMES_NAME, "\n".join([*self._times, ""]).encode())
        self._pool.shutdown()
        self._zip.close()

    def _close(self) -> None:
        if self._zip is not None:
            self._pool.shutdown(cancel_futures=True)
            self._zip.close()

    def _store_next(self) -> None:
        self._count += 1
        self._store(f"frame_{self._count:06d}.png", self._waiting.popleft().result())

    def _store(self, name: str, content: bytes) -> None:
        assert self._zip is not None
        # Without a date the same video gives the same file.
        self._zip.writestr(zipfile.ZipInfo(name), content)


def encode_png(fgr: UInt8Array, pha: UInt8Array) -> bytes:
    """One RGBA PNG of straight colour [H,W,3] and alpha [H,W]."""
    height, width = pha.shape
    frame = av.VideoFrame(width, height, "rgba")
    rows = plane_rows(frame.planes[0])[:, : width * 4].reshape(height, width, 4)
    rows[..., :3] = bleed_edges(fgr, pha)
    rows[..., 3] = pha
    encoder = av.CodecContext.create("png", "w")
    assert isinstance(encoder, av.video.codeccontext.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "rgba"
    encoder.time_base, encoder.options = Fraction(1, 25), dict(_PNG_OPTIONS)
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
