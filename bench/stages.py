"""Each stage alone, and the whole pipeline, for each type of output."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil

from bench.clips import write_clip
from bench.settings import BenchSettings
from bench.timing import interleaved
from rvm_client.decode import VideoReader
from rvm_client.encode import open_writer
from rvm_client.frames import MatteChunk
from rvm_client.machine import Hardware
from rvm_client.matte import ChunkShape, MattingModel
from rvm_client.options import Limits, MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pipeline import matte_video
from rvm_client.server import TritonServer
from rvm_client.stopwatch import Stopwatch

OUTPUT_TYPES = (OutputType.GREENSCREEN, OutputType.ALPHA, OutputType.ALPHA_PRORES)


def measure_stages(
    settings: BenchSettings, folder: Path, server: TritonServer
) -> dict[str, dict[str, float]]:
    """Milliseconds a frame of each stage alone and of the whole, with CPU seconds of both ends."""
    rows: dict[str, dict[str, float]] = {}
    for name, (height, width, ratio) in settings.sizes.items():
        clip = write_clip(folder / f"{name}.mp4", height, width, settings.clip_frames)
        with MattingModel(server.grpc_url) as model:
            bench = _Stages(
                clip, model, server, settings.chunk_frames(name), ratio, settings.hardware
            )
            rows |= bench.rows(name, folder, max(1, settings.repetitions // 3))
    return rows


class _Stages:
    def __init__(
        self,
        clip: Path,
        model: MattingModel,
        server: TritonServer,
        count: int,
        ratio: float,
        hardware: Hardware,
    ) -> None:
        self.clip, self.model, self.ratio, self.count = clip, model, ratio, count
        self.hardware = hardware
        self._server = psutil.Process(server.pid)
        # Encoding alone gets a real result: noise would cost an encoder more, a still less.
        self.mattes = self._infer(keep=True)
        self.frames = sum(len(chunk.pts) for chunk in self.mattes)

    def rows(self, name: str, folder: Path, repetitions: int) -> dict[str, dict[str, float]]:
        """Stages, wholes, and what each whole is to its slowest stage."""
        calls = {"decode": self._timed(self._decode), "inference": self._timed(self._infer)}
        for kind in OUTPUT_TYPES:
            target = folder / f"out-{kind.value}{kind.suffix}"
            calls[f"encode {kind.value}"] = self._timed(partial(self._encode, kind, target))
            calls[f"whole {kind.value}"] = self._timed(partial(self._whole, kind, target))
        found = interleaved(calls, dict.fromkeys(calls, self.frames), repetitions)
        for kind in OUTPUT_TYPES:
            parts = [found[part] for part in ("decode", "inference", f"encode {kind.value}")]
            whole = found[f"whole {kind.value}"]
            whole["fps"] = round(1000 / whole["median_ms"], 2)
            slowest_ms = max(part["median_ms"] for part in parts)
            whole["efficiency"] = round(slowest_ms / whole["median_ms"], 2)
            cpu_ms = sum(part["cpu_ms"] for part in parts)
            whole["cpu_to_sum_of_stages"] = round(whole["cpu_ms"] / cpu_ms, 2)
        return {f"{name}, {part}": row for part, row in found.items()}

    def _timed(self, work: Callable[[], object]) -> Callable[[], tuple[float, float]]:
        return partial(self._measure, work)

    def _measure(self, work: Callable[[], object]) -> tuple[float, float]:
        wall_s, cpu_s = time.perf_counter(), self._cpu_seconds()
        work()
        return time.perf_counter() - wall_s, self._cpu_seconds() - cpu_s

    def _cpu_seconds(self) -> float:
        """The processor time of this process and of the server with its backends."""
        processes = [self._server, *self._server.children(recursive=True)]
        times = [process.cpu_times() for process in processes]
        return time.process_time() + sum(t.user + t.system for t in times)

    def _decode(self) -> None:
        with VideoReader(self.clip, self._options()) as reader:
            for _ in reader.chunks(self.count):
                pass

    def _infer(self, *, keep: bool = False) -> list[MatteChunk]:
        """Decoding is in it, at a few per cent; it needs frames."""
        kept = []
        with VideoReader(self.clip, self._options()) as reader:
            info = reader.info
            shape = ChunkShape(self.count, info.height_pixels, info.width_pixels)
            with self.model.session(self.ratio, shape) as session:
                for matte in session.matte_all(
                    session.staged(reader.chunks(self.count)), Stopwatch()
                ):
                    if keep:
                        kept.append(MatteChunk(matte.fgr.copy(), matte.pha.copy(), matte.pts))
        return kept

    def _encode(self, kind: OutputType, target: Path) -> None:
        with VideoReader(self.clip, self._options()) as reader:
            info = reader.info
        with open_writer(target, self._options(kind), info, hardware=self.hardware) as writer:
            for matte in self.mattes:
                writer.write(matte)

    def _whole(self, kind: OutputType, target: Path) -> None:
        limits = Limits(hardware=self.hardware)
        matte_video(self.clip, target, self.model, self._options(kind), limits)

    def _options(self, kind: OutputType = OutputType.ALPHA) -> MatteOptions:
        return MatteOptions(kind, downsample_ratio=self.ratio, warm_start=False)
