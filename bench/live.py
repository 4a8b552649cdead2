"""Live streams: what a session adds to a frame, and many of them on one server."""

import asyncio
import statistics
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import tritonclient.grpc as triton

from bench.clips import frames
from bench.settings import BenchSettings
from rvm_client import AsyncMattingSession, MattingSession, ServerBusyError, wire
from rvm_client.frames import SourceChunk
from rvm_client.matte import MattingModel
from rvm_client.pixels import UInt8Array
from rvm_client.server import TritonServer

_HEIGHT, _WIDTH = 360, 640
_FPS = 30.0
_STREAMS = (1, 2, 4, 8, 16)
_WARM_UP_FRAMES = 5


def measure_overhead(settings: BenchSettings, server: TritonServer) -> dict[str, dict[str, float]]:
    """Milliseconds a frame of 360p at ratio 1, T = 1: the session's time less the server's.

    The server's is what Triton counts as compute, with the copies in and out of its memory.
    """
    src = frames(_HEIGHT, _WIDTH, settings.clip_frames)
    counter = _ComputeCounter(server.grpc_url)
    rows = {"session, shared memory": _overheads(server.grpc_url, src, counter)}
    with MattingModel(server.grpc_url) as model:
        by_value = model.session(1.0)

        def send(frame: UInt8Array) -> None:
            by_value.matte(SourceChunk(frame[np.newaxis], (0,)))

        rows["session, gRPC messages"] = _percentiles_ms(_timed(send, src, counter))
    rows["asyncio session, shared memory"] = asyncio.run(
        _async_overheads(server.grpc_url, src, counter)
    )
    return rows


def measure_live_streams(
    settings: BenchSettings, server: TritonServer
) -> dict[str, dict[str, float]]:
    """Live streams of 360p at 30 frames a second, and a batch job of 720p beside them or not."""
    rows = {}
    for with_batch in (False, True):
        for count in _STREAMS:
            beside = ", a batch job beside them" if with_batch else ""
            rows[f"{count} live{beside}"] = _together(settings, server.grpc_url, count, with_batch)
    return rows


@dataclass
class _Stream:
    """One live stream: a frame every 1/30 s, where the last one is back."""

    latencies_s: list[float] = field(default_factory=list)
    refused: int = 0

    def run(self, url: str, frame: UInt8Array, ready: threading.Barrier, seconds: float) -> None:
        with MattingSession(url, live=True) as session:
            # The first frame opens what the others use.
            while not self._send(session, frame):
                pass
            ready.wait()
            self.latencies_s, self.refused = [], 0
            ends_s = time.monotonic() + seconds
            while (began_s := time.monotonic()) < ends_s:
                self._send(session, frame)
                # A frame that comes while another is at work is dropped.
                late_s = (time.monotonic() - began_s) % (1 / _FPS)
                time.sleep(1 / _FPS - late_s)

    def _send(self, session: MattingSession, frame: UInt8Array) -> bool:
        began_s = time.monotonic()
        try:
            session.matte_frame(frame)
        except ServerBusyError as busy:
            self.refused += 1
            time.sleep(busy.retry_after_s)
            return False
        self.latencies_s.append(time.monotonic() - began_s)
        return True


def _together(settings: BenchSettings, url: str, count: int, with_batch: bool) -> dict[str, float]:
    seconds = 4.0 if settings.quick else 15.0
    (frame,) = frames(_HEIGHT, _WIDTH, 1)
    ready = threading.Barrier(count + with_batch)
    streams = [_Stream() for _ in range(count)]
    threads = [
        threading.Thread(target=stream.run, args=(url, frame, ready, seconds)) for stream in streams
    ]
    for thread in threads:
        thread.start()
    batch_fps = _batch_fps(url, ready, seconds) if with_batch else None
    for thread in threads:
        thread.join()
    latencies_ms = [1000 * one for stream in streams for one in stream.latencies_s]
    row = {
        "live_fps": round(len(latencies_ms) / seconds, 1),
        **{f"p{p}_ms": round(float(np.percentile(latencies_ms, p)), 1) for p in (50, 95, 99)},
        "refused": float(sum(stream.refused for stream in streams)),
    }
    return row if batch_fps is None else row | {"batch_fps": round(batch_fps, 1)}


def _batch_fps(url: str, ready: threading.Barrier, seconds: float) -> float:
    (frame,) = frames(720, 1280, 1)
    done, ends_s = 0, float("inf")

    def endless() -> Iterator[UInt8Array]:
        while time.monotonic() < ends_s:
            yield frame

    with MattingSession(url) as session:
        ready.wait()
        began_s = time.monotonic()
        ends_s = began_s + seconds
        for _ in session.matte(endless()):
            done += 1
        return done / (time.monotonic() - began_s)


class _ComputeCounter:
    """Seconds that the server has computed for the model."""

    def __init__(self, url: str) -> None:
        self._client = triton.InferenceServerClient(url)

    def seconds(self) -> float:
        (stats,) = self._client.get_inference_statistics(wire.MODEL_NAME).model_stats
        parts = stats.inference_stats
        phases = (parts.compute_input, parts.compute_infer, parts.compute_output)
        return float(sum(phase.ns for phase in phases)) / 1e9


def _overheads(url: str, src: UInt8Array, counter: _ComputeCounter) -> dict[str, float]:
    with MattingSession(url, downsample_ratio=1.0, frames_per_request=1) as session:
        row = _percentiles_ms(_timed(session.matte_frame, src, counter))
        assert session.transport == "shared memory"
    return row


async def _async_overheads(url: str, src: UInt8Array, counter: _ComputeCounter) -> dict[str, float]:
    async with AsyncMattingSession(url, downsample_ratio=1.0, frames_per_request=1) as session:
        return _percentiles_ms([await _one(session.matte_frame, frame, counter) for frame in src])


async def _one(
    send: Callable[[UInt8Array], Awaitable[object]], frame: UInt8Array, counter: _ComputeCounter
) -> tuple[float, float]:
    before_s, began_s = counter.seconds(), time.perf_counter()
    await send(frame)
    taken_s = time.perf_counter() - began_s
    return taken_s, counter.seconds() - before_s


def _timed(
    send: Callable[[UInt8Array], object], src: UInt8Array, counter: _ComputeCounter
) -> list[tuple[float, float]]:
    """Seconds of each frame, and those that the server computed."""
    pairs = []
    for frame in src:
        before_s, began_s = counter.seconds(), time.perf_counter()
        send(frame)
        taken_s = time.perf_counter() - began_s
        pairs.append((taken_s, counter.seconds() - before_s))
    return pairs


def _percentiles_ms(pairs: list[tuple[float, float]]) -> dict[str, float]:
    pairs = pairs[_WARM_UP_FRAMES:]
    over_ms = [1000 * (taken - computed) for taken, computed in pairs]
    return {
        "whole_median_ms": round(1000 * statistics.median(taken for taken, _ in pairs), 2),
        "overhead_p50_ms": round(float(np.percentile(over_ms, 50)), 2),
        "overhead_p95_ms": round(float(np.percentile(over_ms, 95)), 2),
    }
