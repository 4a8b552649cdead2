"""What a process asks of its machine, each in a process of its own."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# Each thread takes its memory while all of them live.
_PROGRAM = """
import ctypes, sys, threading
from rvm_client.machine import share_one_heap
if sys.argv[1] == "shared":
    share_one_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
barrier = threading.Barrier(4)
found = []
def work():
    barrier.wait()
    block = libc.malloc(100_000)
    libc.memset(block, 1, 100_000)
    found.append(block)
    barrier.wait()
threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(max(found) - min(found))
"""


def spread_bytes(mode: str) -> int:
    """How far apart four threads had their memory."""
    command = [sys.executable, "-c", _PROGRAM, mode]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_threads_share_one_heap() -> None:
    # The heaps of threads lie 64 MiB apart.
    assert spread_bytes("own") > 32 * 2**20
    assert spread_bytes("shared") < 2**20


_PRIVATE = """
import ctypes
from rvm_client.machine import keep_memory_private
PR_GET_DUMPABLE = 3
before = ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)
keep_memory_private()
print(before, ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0))
"""


def test_memory_is_kept_private() -> None:
    done = subprocess.run([sys.executable, "-c", _PRIVATE], capture_output=True, text=True)
    assert done.stdout == "1 0\n"


# Dataclasses and named tuples are made by an exec of source text, so that a signal at an import
# may come in one.
_STOPPED_IN_EXEC = """
import os, sys
from rvm_client.machine import stop_on_signals
stop_on_signals()
try:
    exec(f"os.kill(os.getpid(), {sys.argv[1]}); [None for _ in range(10)]")
except KeyboardInterrupt:
    sys.exit(7)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_was_caught_leaves_the_exit_status_alone(
    number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(_STOPPED_IN_EXEC)
    command = [sys.executable, "-m", "program", str(int(number))]
    assert subprocess.run(command, cwd=tmp_path).returncode == 7


_SLEEPS_FIRST = """
import time
time.sleep(0.3)
from rvm_client.machine import process_age_s
print(process_age_s())
"""


def test_the_age_of_a_process_counts_from_its_start() -> None:
    started_s = time.monotonic()
    command = [sys.executable, "-c", _SLEEPS_FIRST]
    age_s = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    # The kernel counts a process's start in ticks of 10 ms.
    assert 0.3 < age_s < time.monotonic() - started_s + 0.02


_HELD = """
import os, signal
from rvm_client.machine import Signalled, signals_held, stop_on_signals
stop_on_signals()
done = False
try:
    with signals_held():
        os.kill(os.getpid(), signal.SIGTERM)
        done = True
    print("not raised")
except Signalled as exc:
    print(exc.number, done)
try:
    os.kill(os.getpid(), signal.SIGINT)
except Signalled as exc:
    print(exc.number)
"""


def test_a_signal_waits_for_the_end_of_a_block() -> None:
    run = subprocess.run([sys.executable, "-c", _HELD], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [str(int(signal.SIGTERM)), "True", str(int(signal.SIGINT))]
