"""Frames in shared memory: the same results, nothing left behind, and a way without it."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton

from rvm_client import MattingSession
from rvm_client.errors import ServerBusyError, ServerLostError
from rvm_client.frames import MatteChunk, Role, SourceChunk
from rvm_client.matte import ChunkShape, MattingModel, shared_region
from rvm_client.pixels import UInt8Array
from rvm_client.stopwatch import Stopwatch
from rvm_export.verify.goldens import INT8_CASES


@pytest.fixture(scope="module")
def portrait() -> UInt8Array:
    """Real frames of a person, [T,H,W,3]."""
    return np.concatenate([INT8_CASES[0].src] * 4)


@pytest.fixture
def client(triton_url: str) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(triton_url) as connection:
        yield connection


def regions(client: triton.InferenceServerClient) -> set[str]:
    return set(client.get_system_shared_memory_status().regions)


def chunks_of(frames: UInt8Array, frames_per_chunk: int) -> list[SourceChunk]:
    starts = range(0, len(frames), frames_per_chunk)
    return [
        SourceChunk(frames[start : start + frames_per_chunk], tuple(range(start, stop)))
        for start in starts
        for stop in [min(start + frames_per_chunk, len(frames))]
    ]


def matte(
    url: str, frames: UInt8Array, frames_per_chunk: int, shape: ChunkShape | None
) -> tuple[str, list[MatteChunk]]:
    """The transport's name, and copies of all results."""
    with MattingModel(url) as model, model.session(0.5, shape) as session:
        staged = session.staged(chunks_of(frames, frames_per_chunk))
        return session.transport_name, [
            MatteChunk(chunk.fgr.copy(), chunk.pha.copy(), chunk.pts)
            for chunk in session.matte_all(staged, Stopwatch())
        ]


def whole_shape(frames: UInt8Array, frames_per_chunk: int) -> ChunkShape:
    return ChunkShape(frames_per_chunk, frames.shape[1], frames.shape[2])


@pytest.mark.parametrize("frames_per_chunk", [1, 3])
def test_shared_memory_gives_what_messages_give(
    triton_url: str, portrait: UInt8Array, frames_per_chunk: int
) -> None:
    shape = whole_shape(portrait, frames_per_chunk)
    name, shared = matte(triton_url, portrait, frames_per_chunk, shape)
    assert name == "shared memory"
    name, by_value = matte(triton_url, portrait, frames_per_chunk, None)
    assert name == "gRPC"
    for ours, theirs in zip(shared, by_value, strict=True):
        assert ours.pts == theirs.pts
        assert np.array_equal(ours.pha, theirs.pha)
        assert np.array_equal(ours.fgr, theirs.fgr)


def test_what_is_not_written_takes_no_place_of_what_is(
    portrait: UInt8Array, triton_url: str
) -> None:
    """Mattes that wait for the encoder stay as they are, however many frames only show a state."""
    first, *others = chunks_of(portrait[:10], 2)
    with (
        MattingModel(triton_url) as model,
        model.session(0.5, whole_shape(portrait, 2)) as session,
    ):
        matte = session.matte(session.stage(first))
        fgr, pha = matte.fgr.copy(), matte.pha.copy()
        for role in (Role.WARM_UP, Role.AFTER):
            for chunk in others:
                session.matte(session.stage(replace(chunk, role=role)))
        assert np.array_equal(matte.fgr, fgr)
        assert np.array_equal(matte.pha, pha)


def test_odd_sizes_and_ratios_fit(triton_url: str) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (5, 243, 481, 3), np.uint8)
    for ratio in (0.37, 0.123, 1.0):
        with MattingModel(triton_url) as model:
            with model.session(ratio, whole_shape(frames, 2)) as session:
                staged = session.staged(chunks_of(frames, 2))
                shared = [c.pha.copy() for c in session.matte_all(staged, Stopwatch())]
            session = model.session(ratio)
            by_value = [c.pha for c in session.matte_all(chunks_of(frames, 2), Stopwatch())]
        assert all(np.array_equal(a, b) for a, b in zip(shared, by_value, strict=True))


def test_a_video_leaves_no_segment_and_no_registration(
    triton_url: str, portrait: UInt8Array, client: triton.InferenceServerClient
) -> None:
    before = regions(client)
    with (
        MattingModel(triton_url) as model,
        model.session(0.5, whole_shape(portrait, 2)) as session,
    ):
        session.matte(next(session.staged(chunks_of(portrait, 2))))
        assert len(regions(client) - before) == 1
        # Whatever happens now, no file stays: the segment has no name any more.
        assert not list(Path("/dev/shm").glob("rvm-client-*"))
    assert regions(client) == before


def test_a_remote_server_gets_messages(portrait: UInt8Array, triton_url: str) -> None:
    """By an address of this machine that is not a loopback one by its spelling."""
    port = triton_url.rpartition(":")[2]
    name, results = matte(f"0.0.0.0:{port}", portrait[:2], 1, whole_shape(portrait, 1))
    assert name == "gRPC"
    assert len(results) == 2


def test_without_room_frames_go_in_messages_and_the_log_says_so(
    triton_url: str,
    portrait: UInt8Array,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(shared_region, "SEGMENTS", Path("/proc"))
    with caplog.at_level(logging.WARNING):
        name, results = matte(triton_url, portrait[:2], 1, whole_shape(portrait, 1))
    assert name == "gRPC"
    assert len(results) == 2
    assert "memory cannot be shared" in caplog.text


KILLED = """
import sys, time
import numpy as np
from rvm_client.matte import MattingModel
from rvm_client.matte.transport import ChunkShape
session = MattingModel(sys.argv[1]).session(0.5, ChunkShape(1, 64, 64))
print(session.transport_name, flush=True)
time.sleep(600)
"""


def test_the_next_client_ends_what_a_killed_one_left(
    triton_url: str, portrait: UInt8Array, client: triton.InferenceServerClient
) -> None:
    before = regions(client)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, triton_url], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process, process.stdout:
        assert process.stdout.readline() == "shared memory\n"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not list(Path("/dev/shm").glob("rvm-client-*"))
    assert len(regions(client) - before) == 1
    matte(triton_url, portrait[:1], 1, whole_shape(portrait, 1))
    assert regions(client) == before


@contextmanager
def streams_that_fill_a_server(url: str) -> Iterator[None]:
    """Live ones, of which one waits at any time, and not for as long as they may."""
    frame = np.ascontiguousarray(INT8_CASES[0].src[0, ::2, ::2])
    is_over = threading.Event()

    def stream() -> None:
        with MattingSession(url, live=True, downsample_ratio=1.0) as session:
            while not is_over.is_set():
                with suppress(ServerBusyError):
                    session.matte_frame(frame)

    threads = [threading.Thread(target=stream) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("is_shared", [True, False])
def test_a_request_that_is_given_up_does_no_harm(
    is_shared: bool,
    triton_url: str,
    portrait: UInt8Array,
    client: triton.InferenceServerClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The server comes to it later, and writes its mattes where nobody reads any more."""
    before = regions(client)
    frames = portrait[:5]
    shape = whole_shape(frames, 1) if is_shared else None

    def alphas(model: MattingModel, late: int | None = None) -> list[UInt8Array]:
        found = []
        with model.session(0.5, shape) as session, ExitStack() as streams:
            for index, chunk in enumerate(session.staged(chunks_of(frames, 1))):
                if index == late:
                    streams.enter_context(streams_that_fill_a_server(triton_url))
                found.append(session.matte(chunk).pha.copy())
        return found

    with MattingModel(triton_url) as model:
        expected = alphas(model)
        for _ in range(5):
            assert np.array_equal(alphas(model, late=2), expected)
            if "has not come to a request of batch work in" in caplog.text:
                break
        else:
            pytest.fail("the server came to each request")
        # It ended before the server let go of its memory; the next session sees to that.
        assert np.array_equal(alphas(model), expected)
    assert regions(client) == before


def test_a_server_that_was_lost_in_vain_maps_no_more_in_the_end(
    triton_url: str, portrait: UInt8Array, client: triton.InferenceServerClient
) -> None:
    """It did not answer in time, and is the one that is there after that, too."""
    before = regions(client)
    shape = whole_shape(portrait, 1)
    for _ in range(3):
        with (
            MattingModel(triton_url, request_timeout_s=0.001, reconnect_s=1) as model,
            model.session(0.5, shape) as session,
            pytest.raises(ServerLostError),
        ):
            session.matte(next(session.staged(chunks_of(portrait, 1))))
    matte(triton_url, portrait[:1], 1, shape)
    matte(triton_url, portrait[:1], 1, shape)
    assert regions(client) == before
