"""What a process asks of its machine, each in a process of its own."""

import subprocess
import sys
import time

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
