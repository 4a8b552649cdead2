"""What may happen to a decoding process is an error of one job, in one sentence."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.client.isolated.conftest import LIMITS
from tests.support.clips import index_frame, write_clip

from rvm_client.errors import InputError, StoppedError
from rvm_client.isolated import DecoderLimits, DecoderPool, Opener
from rvm_client.isolated.channel import ClosedError, WorkerEnd, connection

SEGMENTS = Path("/dev/shm")
DESCRIPTORS = Path("/proc/self/fd")


@pytest.fixture(scope="module")
def clip(folder: Path) -> Path:
    return write_clip(folder / "clip.mp4", [index_frame(i) for i in range(60)])


@contextmanager
def job(
    pool: DecoderPool, folder: Path, cancelled: threading.Event | None = None
) -> Iterator[tuple[Opener, psutil.Process]]:
    """A job, and the process that decodes for it."""
    waiting = pool.ready()
    assert waiting is not None
    with pool.job(folder, cancelled or threading.Event()) as opener:
        yield opener, psutil.Process(waiting.pid)


@contextmanager
def limited(limits: DecoderLimits) -> Iterator[DecoderPool]:
    with DecoderPool(limits, uses_gpu=False) as pool:
        yield pool


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_the_end_of_the_process_is_one_sentence(
    pool: DecoderPool, folder: Path, clip: Path, number: signal.Signals
) -> None:
    with job(pool, folder) as (opener, process), opener.video(clip) as reader:
        chunks = reader.chunks(2)
        next(chunks)
        process.send_signal(number)
        with pytest.raises(InputError, match=rf"ended by {number.name} over \S+clip\.mp4; "):
            list(chunks)
        with pytest.raises(InputError, match=number.name):
            opener.video(clip)
        with pytest.raises(InputError, match=number.name):
            opener.sound(clip, lambda _: None)
    with job(pool, folder) as (opener, _), opener.video(clip) as reader:
        assert sum(len(chunk.pts) for chunk in reader.chunks(8)) == 60


def test_a_process_that_dies_while_it_waits_costs_no_job(
    pool: DecoderPool, folder: Path, clip: Path
) -> None:
    waiting = pool.ready()
    assert waiting is not None
    os.kill(waiting.pid, signal.SIGKILL)
    psutil.Process(waiting.pid).wait(10)
    with pool.job(folder, threading.Event()) as opener, opener.video(clip):
        pass


def test_a_process_that_hangs_is_ended(folder: Path, clip: Path) -> None:
    with (
        limited(replace(LIMITS, timeout_s=3)) as pool,
        job(pool, folder) as (opener, process),
        opener.video(clip) as reader,
    ):
        chunks = reader.chunks(2)
        next(chunks)
        process.suspend()
        with pytest.raises(InputError, match=r"did not get on with \S+clip\.mp4 for 3 s"):
            list(chunks)


def test_a_cancelled_job_does_not_wait_for_it(pool: DecoderPool, folder: Path, clip: Path) -> None:
    cancelled = threading.Event()
    with job(pool, folder, cancelled) as (opener, process), opener.video(clip) as reader:
        chunks = reader.chunks(2)
        next(chunks)
        process.suspend()
        threading.Timer(0.3, cancelled.set).start()
        with pytest.raises(StoppedError):
            list(chunks)
        # As soon as it is cancelled, and not only at the end of the job.
        assert process.wait(10) is not None or not process.is_running()


def test_too_much_memory_is_refused(folder: Path) -> None:
    # Four times the limit in frames that the decoder has at once.
    large = write_clip(folder / "large.mp4", [index_frame(0, 4096, 2304)] * 2)
    limits = replace(LIMITS, memory_bytes=180 << 20)
    with (
        limited(limits) as pool,
        job(pool, folder) as (opener, _),
        pytest.raises(InputError, match="more than 188743680 bytes of memory"),
        opener.video(large) as reader,
    ):
        list(reader.chunks(2))


def decode_for_ever(opener: Opener, clip: Path) -> None:
    while True:
        with opener.video(clip) as reader:
            list(reader.chunks(8))


def test_too_much_processor_time_is_refused(folder: Path, clip: Path) -> None:
    message = "more than 2 s of processor time"
    with (
        limited(replace(LIMITS, cpu_seconds=2)) as pool,
        job(pool, folder) as (opener, _),
        pytest.raises(InputError, match=message),
    ):
        decode_for_ever(opener, clip)


def test_nothing_is_left(folder: Path, clip: Path) -> None:
    before = set(SEGMENTS.iterdir())
    children = {child.pid for child in psutil.Process().children()}
    with limited(LIMITS) as pool:
        with job(pool, folder) as (opener, process), opener.video(clip) as reader:
            next(reader.chunks(2))
            during = set(SEGMENTS.iterdir())
        assert not process.is_running()
    after = {child.pid for child in psutil.Process().children()}
    assert not {path.name for path in during - before if "decoder" in path.name}
    assert after <= children


DYING_WORKER = """
import sys, threading, time
from pathlib import Path
from rvm_client.isolated import DecoderLimits, DecoderPool

pool = DecoderPool(DecoderLimits(1 << 30, 600, 60.0), uses_gpu=False)
clip = Path(sys.argv[1])
with pool.job(clip.parent, threading.Event()) as opener, opener.video(clip) as reader:
    next(reader.chunks(2))
    print("at work", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("stopped", [False, True])
def test_a_killed_worker_takes_its_processes_along(clip: Path, stopped: bool) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", DYING_WORKER, str(clip)], stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    with worker.stdout:
        assert worker.stdout.readline() == "at work\n"
        children = psutil.Process(worker.pid).children(recursive=True)
        assert children
        if stopped:
            for child in children:
                child.suspend()
        worker.kill()
        worker.wait()
    _, alive = psutil.wait_procs(children, 10)
    assert not alive


REPLIES = {
    "no text": b"\x80\x81\x82",
    "no JSON": b"{",
    "deep": b"[" * 60_000,
    "another kind": b'{"kind": "pickle"}',
    "one field more": b'{"kind": "sound_end", "more": 1}',
    "negative": b'{"kind": "sound_part", "size_bytes": -1, "pts": 0}',
    "too much": b'{"kind": "sound_part", "size_bytes": 1048577, "pts": 0}',
    "not a number": b'{"kind": "sound_part", "size_bytes": "1", "pts": 0}',
    "not finite": b'{"kind": "chunk", "decoder": "h264", "damaged_packets": 0, "pts": [1e400], '
    b'"role": "frames"}',
    "huge": b'{"kind": "sound_part", "size_bytes": 1, "pts": ' + b"9" * 5000 + b"}",
    "no frames": b'{"kind": "chunk", "decoder": "h264", "damaged_packets": 0, "pts": [], '
    b'"role": "frames"}',
    "a name with escapes": b'{"kind": "video_end", "decoder": "\\u001b[31m", "damaged_packets": 0}',
}


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
def test_nonsense_is_not_believed(reply: bytes) -> None:
    ours, theirs = connection()
    with theirs:
        end = WorkerEnd(ours, poll_s=1)
        theirs.send(reply)
        with pytest.raises((ValueError, RecursionError)):
            end.receive()
        end.close()


def test_descriptors_of_the_other_side_are_not_taken() -> None:
    ours, theirs = connection()
    before = len(list(DESCRIPTORS.iterdir()))
    with theirs, Path(os.devnull).open() as file:
        socket.send_fds(theirs, [b'{"kind": "sound_end"}'], [file.fileno()])
        end = WorkerEnd(ours, poll_s=1)
        assert end.receive() is not None
        assert len(list(DESCRIPTORS.iterdir())) == before + 1
        theirs.close()
        with pytest.raises(ClosedError):
            end.receive()
        end.close()
