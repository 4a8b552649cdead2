"""Through Triton: what messages and shared memory add to the same network in process."""

import statistics
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.clips import SIZES, frames
from bench.network import EngineProcess, engine_options
from bench.settings import BenchSettings
from bench.timing import interleaved
from rvm_client.config import process_environment
from rvm_client.frames import SourceChunk
from rvm_client.matte import (
    ChunkSession,
    ChunkShape,
    MattingModel,
    shared_room_bytes,
    warm_up,
)
from rvm_client.pixels import UInt8Array
from rvm_client.server import ServerOptions, TritonServer

_Call = Callable[[], tuple[float, float] | None]


def measure_serving(
    settings: BenchSettings, folder: Path, server: TritonServer
) -> dict[str, dict[str, float]]:
    """Milliseconds a frame in process, over shared memory, and in gRPC messages."""
    rows: dict[str, dict[str, float]] = {}
    for name in settings.sizes:
        rows |= measure_transports(settings, name, folder, server)
    return rows


def measure_transports(
    settings: BenchSettings, name: str, folder: Path, server: TritonServer
) -> dict[str, dict[str, float]]:
    """The three rows of one size."""
    height, width, ratio = settings.sizes[name]
    count = settings.chunk_frames(name)
    with ExitStack() as stack:
        options = engine_options(settings, (height, width, ratio), folder)
        engine = stack.enter_context(
            EngineProcess(engine="torchscript", frames=count, transfers=True, **options)
        )
        model = stack.enter_context(MattingModel(server.grpc_url))
        shape = ChunkShape(count, height, width)
        shared = stack.enter_context(model.session(ratio, shape))
        if shared.transport_name != "shared memory":
            raise RuntimeError(f"frames went to the server by {shared.transport_name}")
        src = frames(height, width, count)
        calls: dict[str, _Call] = {
            f"{name}, T = {count}, in process": engine.run,
            f"{name}, T = {count}, shared memory": request(shared, src),
            f"{name}, T = {count}, gRPC messages": request(model.session(ratio), src),
        }
        counts = dict.fromkeys(calls, count)
        return with_overhead(interleaved(calls, counts, settings.repetitions))


def with_overhead(found: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """The same rows, each beside the first."""
    base_ms = next(iter(found.values()))["median_ms"]
    return {
        name: {
            "median_ms": row["median_ms"],
            "min_ms": row["min_ms"],
            "overhead_ms": round(row["median_ms"] - base_ms, 2),
            "overhead_percent": round(100 * (row["median_ms"] / base_ms - 1), 1),
        }
        for name, row in found.items()
    }


def request(session: ChunkSession, src: UInt8Array) -> Callable[[], None]:
    """One request of a whole chunk, its pixels already staged as the pipeline has them."""
    (chunk,) = session.staged([SourceChunk(src, tuple(range(len(src))))])

    def send() -> None:
        session.matte(chunk)

    return send


def measure_streams(settings: BenchSettings, server: TritonServer) -> dict[str, dict[str, float]]:
    """Frames a second of several videos at once on one server, 1080p in shared memory."""
    height, width, ratio = SIZES["1080p"]
    shape = ChunkShape(settings.chunk_frames("1080p"), height, width)
    src = frames(height, width, shape.frames)
    rows = {}
    for streams in (1, 2, 4):
        with ExitStack() as stack:
            calls = []
            for _ in range(streams):
                model = stack.enter_context(MattingModel(server.grpc_url))
                calls.append(request(stack.enter_context(model.session(ratio, shape)), src))
            requests = max(2, settings.repetitions // 2)
            wall_s = seconds_together(calls, requests)
        fps = round(streams * requests * shape.frames / wall_s, 2)
        rows[f"streams: {streams}"] = {"total_fps": fps}
    return rows


def seconds_together(calls: list[Callable[[], None]], requests: int) -> float:
    """How long it takes until each stream, beside the others, has made its requests."""

    def run(call: Callable[[], None]) -> None:
        for _ in range(requests):
            call()

    for call in calls:
        call()
    threads = [threading.Thread(target=partial(run, call)) for call in calls]
    started_s = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started_s


def measure_first_request(settings: BenchSettings) -> dict[str, dict[str, float]]:
    """Milliseconds of the first requests after a server's start, with and without `warm_up`."""
    rows: dict[str, dict[str, float]] = {}
    for name, (height, width, ratio) in settings.sizes.items():
        shape = ChunkShape(settings.chunk_frames(name), height, width)
        for warmed in (False, True):
            runs = [
                _first_requests_ms(settings, shape, ratio, warmed=warmed)
                for _ in range(settings.repetitions)
            ]
            title = f"{name}, T = {shape.frames}, {'after' if warmed else 'without'} a warm-up"
            rows[title] = {
                column: round(statistics.median(run[column] for run in runs)) for column in runs[0]
            }
    return rows


def _first_requests_ms(
    settings: BenchSettings, shape: ChunkShape, ratio: float, *, warmed: bool
) -> dict[str, float]:
    """Of a new server: the warm-up where it is wished for, and three requests."""
    milliseconds: dict[str, float] = {}

    def timed(name: str, call: Callable[[], object]) -> None:
        started_s = time.perf_counter()
        call()
        milliseconds[name] = 1000 * (time.perf_counter() - started_s)

    server = start_server(settings)
    try:
        with MattingModel(server.grpc_url) as model:
            if warmed:
                room_bytes = shared_room_bytes()
                warm = partial(warm_up, model, ratio, queue_depth=1, room_bytes=room_bytes)
                timed("warm_up_ms", warm)
            with model.session(ratio, shape) as session:
                send = request(
                    session, frames(shape.height_pixels, shape.width_pixels, shape.frames)
                )
                for number in ("first", "second", "third"):
                    timed(f"{number}_ms", send)
    finally:
        server.stop()
    return milliseconds


def start_server(settings: BenchSettings, **variables: str) -> TritonServer:
    """A server of the model on the device, with the threads that the bench may use.

    Args:
        settings: of the bench.
        variables: of the server's environment, beside those of this process.
    """
    if settings.device == "cpu":
        variables["CUDA_VISIBLE_DEVICES"] = ""
    environment = process_environment() | variables
    return TritonServer.start(
        ServerOptions(settings.repository, threads=settings.threads, environment=environment)
    )
