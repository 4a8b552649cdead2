"""What joining segments costs: their packets are read, renumbered and written as one file."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import av

from bench.clips import write_clip
from bench.report import Rows

_SEGMENTS, _FRAMES = 10, 60


def measure_join() -> Rows:
    """Megabytes and packets a second, without a network."""
    with TemporaryDirectory(prefix="rvm-join-") as name:
        folder = Path(name)
        parts = [write_clip(folder / "0.mp4", 1080, 1920, _FRAMES)] * _SEGMENTS
        # Of the processor: other programs may be at work beside this one.
        started_s = time.process_time()
        packets = _joined(parts, folder / "whole.mp4")
        elapsed_s = time.process_time() - started_s
        size_mb = (folder / "whole.mp4").stat().st_size / 1e6
    assert packets == _SEGMENTS * _FRAMES
    return {
        "join": {
            "packets a second": round(packets / elapsed_s),
            "MB a second": round(size_mb / elapsed_s, 1),
            "kB a packet": round(1000 * size_mb / packets, 1),
        }
    }


def _joined(parts: list[Path], target: Path) -> int:
    count, offset = 0, 0
    with av.open(str(target), "w") as whole:
        stream = None
        for part in parts:
            with av.open(str(part)) as source:
                (picture,) = source.streams.video
                stream = stream or whole.add_stream_from_template(picture)
                assert picture.duration is not None
                for packet in source.demux(picture):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.pts += offset
                    packet.dts += offset
                    packet.stream = stream
                    whole.mux(packet)
                    count += 1
                offset += picture.duration
    return count
