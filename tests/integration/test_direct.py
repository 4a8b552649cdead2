"""Sessions for programs that have frames in hand, against the real model on a real server.

Each test is of both, the session that waits and the one for asyncio.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tests.support.gateway import Fault, Gateway, serving

from rvm_client import (
    AsyncMattingSession,
    Matte,
    MattingSession,
    ServerBusyError,
    ServerUnreachableError,
    UsageError,
)
from rvm_client.frames import SourceChunk
from rvm_client.matte import MattingModel
from rvm_client.pixels import UInt8Array
from rvm_client.scenes import with_warm_up
from rvm_client.server import ServerOptions, TritonServer
from rvm_client.stopwatch import Stopwatch
from rvm_export.verify.goldens import INT8_CASES, GoldenCase

Act = Callable[["Waiting | Looping"], Any]


class Waiting:
    """MattingSession, as a test uses it."""

    def __init__(self, server: Any, **options: Any) -> None:
        self.session = MattingSession(server, **options)

    def __enter__(self) -> "Waiting":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.session.close()

    def matte(self, frames: Iterable[Any], most: int | None = None) -> list[Matte]:
        mattes = []
        for matte in self.session.matte(frames):
            mattes.append(matte)
            if len(mattes) == most:
                break
        return mattes

    def matte_frame(self, frame: Any) -> Matte:
        return self.session.matte_frame(frame)


class Looping:
    """AsyncMattingSession likewise, in an event loop of its own."""

    def __init__(self, server: Any, **options: Any) -> None:
        self.session = AsyncMattingSession(server, **options)
        self._loop = asyncio.new_event_loop()
        try:
            self._loop.run_until_complete(self.session.__aenter__())
        except BaseException:
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()
            raise

    def __enter__(self) -> "Looping":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.run_until_complete(self.session.close())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def matte(self, frames: Iterable[Any], most: int | None = None) -> list[Matte]:
        async def run() -> list[Matte]:
            mattes = []
            async for matte in self.session.matte(frames):
                mattes.append(matte)
                if len(mattes) == most:
                    break
            return mattes

        return self._loop.run_until_complete(run())

    def matte_frame(self, frame: Any) -> Matte:
        return self._loop.run_until_complete(self.session.matte_frame(frame))


KINDS = pytest.mark.parametrize("kind", [Waiting, Looping], ids=["waiting", "asyncio"])
Kind = type[Waiting] | type[Looping]
CASE = INT8_CASES[0]


def alphas(mattes: Iterable[Matte]) -> UInt8Array:
    return np.stack([matte.alpha for matte in mattes])


def small(case: GoldenCase = CASE) -> UInt8Array:
    """Real frames that take little time."""
    return np.ascontiguousarray(case.src[:, ::4, ::4])


@KINDS
@pytest.mark.parametrize("count", [None, 1, 3])
@pytest.mark.parametrize("case", INT8_CASES[:2], ids=lambda case: case.name)
def test_golden_alphas(triton_url: str, kind: Kind, case: GoldenCase, count: int | None) -> None:
    ratio = case.downsample_ratio
    with kind(triton_url, downsample_ratio=ratio, frames_per_request=count) as session:
        mattes = session.matte(iter(case.src))
        assert session.session.transport == "shared memory"
        assert session.session.model_version == "1"
    # One level: the reference rounds float32 results that differ in their last bits.
    np.testing.assert_allclose(alphas(mattes).astype(int), case.pha.astype(int), rtol=0, atol=1)
    grid = np.stack([matte.foreground[::4, ::4] for matte in mattes]).astype(int)
    np.testing.assert_allclose(grid, case.fgr_grid.astype(int), rtol=0, atol=1)


@KINDS
def test_frame_by_frame_and_call_by_call_a_video_goes_on(triton_url: str, kind: Kind) -> None:
    frames = small()
    with kind(triton_url, frames_per_request=1) as session:
        whole = alphas(session.matte(frames))
        session.session.reset()
        again = [session.matte_frame(frames[0]), *session.matte(frames[1:3])]
        again += [session.matte_frame(frame) for frame in frames[3:]]
    assert np.array_equal(alphas(again), whole)


@KINDS
def test_a_loop_that_is_left_ends_the_video(triton_url: str, kind: Kind) -> None:
    frames = small()
    with kind(triton_url, frames_per_request=1) as session:
        whole = alphas(session.matte(frames))
        session.session.reset()
        session.matte(frames, most=2)
        assert np.array_equal(alphas(session.matte(frames)), whole)


@KINDS
def test_results_are_the_caller_s(triton_url: str, kind: Kind) -> None:
    frames = small()
    with kind(triton_url, frames_per_request=1) as session:
        first = session.matte_frame(frames[0])
        before = first.foreground.copy(), first.alpha.copy()
        session.matte(np.full_like(frames, 255))
        assert np.array_equal(first.foreground, before[0])
        assert np.array_equal(first.alpha, before[1])
    opaque = np.broadcast_to((255, 0, 0), first.foreground.shape).astype(np.uint8)
    seen = first.over((255, 0, 0))
    assert np.array_equal(seen[first.alpha == 0], opaque[first.alpha == 0])
    assert np.array_equal(first.over(opaque), seen)
    assert np.array_equal(first.rgba[..., 3], first.alpha)


@KINDS
def test_another_size_needs_another_scene(triton_url: str, kind: Kind) -> None:
    frames = small()
    half = np.ascontiguousarray(frames[:2, : frames.shape[1] // 2])
    with kind(triton_url, frames_per_request=1) as session:
        session.matte(frames[:2])
        with pytest.raises(UsageError, match=r"frame 0 is .* reset\(\)"):
            session.matte(half)
        session.session.reset()
        assert session.matte(half)[0].alpha.shape == half.shape[1:3]
        session.session.reset()
        assert session.matte_frame(frames[0]).alpha.shape == frames.shape[1:3]
        with pytest.raises(UsageError, match="frame 1 is"):
            session.matte([frames[0], half[0]])


@KINDS
@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (np.zeros((8, 8, 4), np.uint8), r"frame 0 is uint8 of shape \[8, 8, 4\]"),
        (np.zeros((8, 8, 3), np.float32), r"frame 0 is float32 of shape \[8, 8, 3\]"),
        (np.zeros((0, 8, 3), np.uint8), "frame 0 has no pixels"),
        ("frame", "frame 0 is <U5"),
    ],
)
def test_what_is_no_frame(triton_url: str, kind: Kind, frame: Any, sentence: str) -> None:
    with kind(triton_url) as session:
        with pytest.raises(UsageError, match=sentence):
            session.matte([frame])
        with pytest.raises(UsageError, match=sentence):
            session.matte_frame(frame)


@KINDS
def test_other_mistakes_are_named(triton_url: str, kind: Kind, unused_port: int) -> None:
    with kind(triton_url) as session:
        assert session.matte([]) == []
        assert session.session.transport is None
        with pytest.raises(UsageError, match=r"is one frame.*matte_frame"):
            session.matte(small()[0])
    for options, sentence in (
        ({"downsample_ratio": 2}, "the downsample ratio is 2"),
        ({"frames_per_request": 0}, "0 frames a request"),
        ({"live": True, "warm_start": True}, "a warm start needs frames"),
    ):
        with pytest.raises(UsageError, match=sentence):
            kind(triton_url, **options)
    with pytest.raises(UsageError, match="there is no server in the list"):
        kind([])
    with pytest.raises(ServerUnreachableError, match=f"127.0.0.1:{unused_port}"):
        kind(f"127.0.0.1:{unused_port}")


@KINDS
def test_an_error_of_the_source_comes_out_and_ends_the_video(triton_url: str, kind: Kind) -> None:
    frames = small()

    def breaking() -> Iterator[UInt8Array]:
        yield frames[0]
        raise OSError("the camera was unplugged")

    with kind(triton_url, frames_per_request=1) as session:
        with pytest.raises(OSError, match="unplugged"):
            session.matte(breaking())
        assert len(session.matte(frames)) == len(frames)


@KINDS
def test_a_warm_start_is_that_of_the_command(triton_url: str, kind: Kind) -> None:
    frames = np.concatenate([small()] * 4)[:14]
    chunks = (SourceChunk(frames[i : i + 2], (i, i + 1)) for i in range(0, 14, 2))
    with MattingModel(triton_url) as model:
        warmed = with_warm_up(chunks, frames_per_chunk=2)
        by_hand = [c.pha for c in model.session(1.0).matte_all(warmed, Stopwatch())]
    with kind(triton_url, warm_start=True, frames_per_request=2, downsample_ratio=1.0) as session:
        mattes = session.matte(frames)
        with pytest.raises(UsageError, match="a warm start needs the frames that follow"):
            session.matte_frame(frames[0])
    assert np.array_equal(alphas(mattes), np.concatenate(by_hand))


def test_only_a_few_frames_are_under_way(triton_url: str) -> None:
    frame = small()[0]
    read = 0

    def counted() -> Iterator[UInt8Array]:
        nonlocal read
        for read in range(1, 31):  # noqa: B007
            yield frame

    with MattingSession(triton_url, frames_per_request=1) as session:
        ahead = []
        for done, _ in enumerate(session.matte(counted()), 1):
            time.sleep(0.01)
            ahead.append(read - done)
    assert read == done == 30
    # One staged and one that waits on either side of the model, and one there.
    assert 1 <= max(ahead) <= 5


def test_asynchronous_frames_are_read_in_the_loop(triton_url: str) -> None:
    frames = small()
    threads = set()

    async def source() -> AsyncIterator[UInt8Array]:
        for frame in frames:
            threads.add(threading.current_thread())
            await asyncio.sleep(0.001)
            yield frame

    async def run() -> tuple[list[Matte], list[Matte]]:
        async with AsyncMattingSession(triton_url) as session:
            by_loop = [matte async for matte in session.matte(source())]
            session.reset()
            return by_loop, [matte async for matte in session.matte(frames)]

    by_loop, by_thread = asyncio.run(run())
    assert threads == {threading.main_thread()}
    assert np.array_equal(alphas(by_loop), alphas(by_thread))


def test_many_sessions_at_once_in_one_loop(triton_url: str) -> None:
    """More than the loop has threads."""
    frames = small()

    async def one(session: AsyncMattingSession) -> UInt8Array:
        async with session:
            return alphas([matte async for matte in session.matte(frames)])

    async def run() -> list[UInt8Array]:
        sessions = [AsyncMattingSession(triton_url, frames_per_request=1) for _ in range(10)]
        return await asyncio.gather(*map(one, sessions))

    first, *others = asyncio.run(run())
    assert all(np.array_equal(first, other) for other in others)


@KINDS
def test_a_lost_request_goes_to_the_next_server(
    model_repository: Path, backend_cache: Path, triton_url: str, kind: Kind
) -> None:
    frames = np.concatenate([small()] * 3)
    options = ServerOptions(model_repository, cache_dir=backend_cache, threads=1, exit_timeout_s=0)
    with TritonServer.start(options) as server:
        first = server.grpc_url

        def dying() -> Iterator[UInt8Array]:
            for index, frame in enumerate(frames):
                if index == 6:
                    os.kill(server.pid, signal.SIGKILL)
                yield frame

        with kind([first, triton_url], frames_per_request=1) as session:
            assert session.session.server == first
            mattes = session.matte(dying())
            assert session.session.server == triton_url
    with kind([first, triton_url], frames_per_request=1) as session:
        assert np.array_equal(alphas(mattes), alphas(session.matte(frames)))


class WithoutRoomForBatchWork(Gateway):
    """Refuses what says that it is no live frame."""

    def _fault_of(self, request: Any) -> Fault | None:
        is_batch = request.parameters["priority"].uint64_param == 2
        return (grpc.StatusCode.UNAVAILABLE, "Request timeout expired") if is_batch else None


@KINDS
def test_batch_work_that_waits_in_vain_goes_as_live_work_does(triton_url: str, kind: Kind) -> None:
    gateway = WithoutRoomForBatchWork(triton_url)
    with serving(gateway) as url, kind(url, frames_per_request=1) as session:
        assert len(session.matte(small()[:3])) == 3
    sent = [dict(request.parameters) for request in gateway.requests]
    priorities = "".join(str(each["priority"].uint64_param) for each in sent)
    # The first tells how long they take.
    assert re.fullmatch("12+12+1", priorities)
    assert sent[1]["timeout"].int64_param == 2_000_000
    assert "timeout" not in sent[0]


@KINDS
def test_an_overloaded_server_refuses_at_once_and_says_how_long(
    triton_url: str, kind: Kind
) -> None:
    """Twelve live streams, which could keep it busy for ever."""
    frame = np.ascontiguousarray(CASE.src[0])
    refused: list[ServerBusyError] = []
    done = []
    together = threading.Barrier(13)
    is_over = threading.Event()

    def stream() -> None:
        with kind(triton_url, live=True, downsample_ratio=1.0) as session:
            together.wait()
            while not is_over.is_set():
                try:
                    session.matte_frame(frame)
                except ServerBusyError as busy:
                    refused.append(busy)
                    time.sleep(busy.retry_after_s)
                else:
                    done.append(1)

    threads = [threading.Thread(target=stream) for _ in range(12)]
    for thread in threads:
        thread.start()
    try:
        with kind(triton_url, frames_per_request=1, busy_s=120) as batch:
            together.wait()
            # It gets through, however long they keep the server full.
            assert len(batch.matte(small()[:2])) == 2
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert done
    assert refused
    assert all(0 < busy.retry_after_s < 10 for busy in refused)
    assert "as many requests as it takes" in str(refused[0])
    assert "request id" not in str(refused[0])


BROKEN = """
import sys
import grpc._channel
import numpy as np
from rvm_client import MattingSession
with MattingSession(sys.argv[1], live=True) as session:
    frame = np.zeros((64, 64, 3), np.uint8)
    session.matte_frame(frame)
    def interrupted(_state):
        raise KeyboardInterrupt
    grpc._channel._run_channel_spin_thread = interrupted
    session.matte_frame(frame)
"""


def test_an_interrupt_in_the_middle_of_grpc_does_not_hold_the_end(triton_url: str) -> None:
    """A call that is made and never watched: gRPC waits for it when its channel is closed."""
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, triton_url], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 128 + signal.SIGINT or done.returncode == -signal.SIGINT
    assert done.stderr.splitlines()[-1] == "KeyboardInterrupt"
