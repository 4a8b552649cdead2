"""How fast the network is, what the way to the server costs, and two streams at once."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from bench.clips import frames
from bench.gpu_check.lines import Check, CheckFailedError, Outcome, measured, passed
from bench.gpu_check.subject import Subject
from bench.network import Candidate, measure_candidates
from bench.serving import measure_transports
from rvm_client.frames import SourceChunk
from rvm_client.matte import ChunkShape, MattingModel
from rvm_client.pixels import UInt8Array
from rvm_client.server.options import check_model_repository
from rvm_client.wire import MODEL_NAME

_STREAMS = 2
_REQUESTS = 4
Mattes = list[tuple[UInt8Array, UInt8Array]]


def network_checks(subject: Subject) -> Iterator[tuple[str, Check]]:
    """Without a server, which would hold memory of the GPU."""
    for size in subject.settings.sizes:
        for count in subject.settings.counts:
            yield f"network: {size}, T = {count}", partial(_network, subject, size, count)


def transfer_checks(subject: Subject) -> Iterator[tuple[str, Check]]:
    """Shared memory against messages, in requests as jobs send them."""
    for size in subject.settings.sizes:
        yield f"transfers: {size}", partial(_transfers, subject, size)


def stream_checks(subject: Subject) -> Iterator[tuple[str, Check]]:
    """Two videos on one server."""
    yield "streams: two at once", partial(_streams, subject)


def _network(subject: Subject, size: str, count: int) -> Outcome:
    settings = subject.settings
    if settings.on_gpu:
        subject.close()
    check_model_repository(settings.repository, MODEL_NAME)
    engines = [Candidate("torchscript", count, as_installed=False), Candidate("eager", count)]
    rows = measure_candidates(settings, size, engines, subject.folder)
    ours_ms, eager_ms = (row["median_ms"] for row in rows.values())
    precision = "half" if settings.on_gpu else "single"
    return measured(
        f"{ours_ms:g} ms a frame, eager PyTorch in {precision} precision {eager_ms:g} ms",
        ours_ms=ours_ms,
        eager_ms=eager_ms,
    )


def _transfers(subject: Subject, size: str) -> Outcome:
    settings = subject.settings
    rows = measure_transports(settings, size, subject.folder, subject.server())
    in_process_ms, shared_ms, messages_ms = (row["median_ms"] for row in rows.values())
    height, width, ratio = settings.sizes[size]
    src = frames(height, width, settings.chunk_frames(size))
    with subject.model() as model:
        in_shared_memory = _mattes(model, ratio, [src])
        in_messages = _mattes(model, ratio, [src], shared=False)
    check_same(in_shared_memory, in_messages, "mattes in shared memory and in messages")
    return passed(
        f"shared memory {shared_ms:g} ms a frame, messages {messages_ms:g} ms, in process "
        f"{in_process_ms:g} ms; T = {len(src)}, the same mattes",
        shared_memory_ms=shared_ms,
        messages_ms=messages_ms,
        in_process_ms=in_process_ms,
    )


def _streams(subject: Subject) -> Outcome:
    settings = subject.settings
    height, width, ratio = settings.sizes[settings.largest_size]
    count = settings.chunk_frames(settings.largest_size)
    # Of different frames: what comes from the other stream's state shows.
    every = frames(height, width, _STREAMS * _REQUESTS * count)
    videos = [np.split(video, _REQUESTS) for video in np.split(every, _STREAMS)]
    url = subject.server().grpc_url

    def matte(video: list[UInt8Array]) -> Mattes:
        with MattingModel(url) as model:
            return _mattes(model, ratio, video)

    started_s = time.perf_counter()
    alone = [matte(video) for video in videos]
    turn_s = time.perf_counter() - started_s
    started_s = time.perf_counter()
    with ThreadPoolExecutor(_STREAMS) as pool:
        together = list(pool.map(matte, videos))
    together_s = time.perf_counter() - started_s
    for one, beside in zip(alone, together, strict=True):
        check_same(one, beside, "mattes of a stream alone and beside another")
    turn_fps, together_fps = (round(len(every) / s, 1) for s in (turn_s, together_s))
    return passed(
        f"{together_fps:g} frames a second in sum, one after the other {turn_fps:g}; "
        f"{settings.largest_size}, T = {count}, the same mattes",
        together_fps=together_fps,
        in_turn_fps=turn_fps,
    )


def _mattes(
    model: MattingModel, ratio: float, video: Sequence[UInt8Array], *, shared: bool = True
) -> Mattes:
    """Foregrounds and alphas of each request."""
    count, height, width, _ = video[0].shape
    shape = ChunkShape(count, height, width) if shared else None
    chunks = [SourceChunk(src, tuple(range(count))) for src in video]
    found = []
    with model.session(ratio, shape) as session:
        if shared and session.transport_name != "shared memory":
            raise CheckFailedError(f"frames went to the server by {session.transport_name}")
        for chunk in session.staged(chunks):
            matte = session.matte(chunk)
            found.append((matte.fgr.copy(), matte.pha.copy()))
    return found


def check_same(first: Mattes, second: Mattes, what: str) -> None:
    """The same requests have the same answers, to the last bit.

    Raises:
        CheckFailedError: they have not.
    """
    largest = max(
        int(np.abs(one.astype(np.int16) - other).max())
        for pair in zip(first, second, strict=True)
        for one, other in zip(*pair, strict=True)
    )
    if largest:
        raise CheckFailedError(f"{what} differ by up to {largest} levels of 255")
