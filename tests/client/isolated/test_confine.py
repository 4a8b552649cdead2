"""What the decoding process cannot do. Tried by a program that gives up the same."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from tests.client.isolated.conftest import LIMITS

from rvm_client.isolated import DecoderPool
from rvm_client.isolated.process import DecoderProcess

SECRETS = {
    "CLOUDINARY_URL": "cloudinary://key:the-secret@cloud",
    "BUCKET_SECRET_ACCESS_KEY": "the-secret",
    "RUNPOD_AI_API_KEY": "the-secret",
    "AWS_SECRET_ACCESS_KEY": "the-secret",
    "HTTPS_PROXY": "http://user:the-secret@proxy",
}

# Prints how each attempt ended: its error's number, or 0.
ATTEMPTS = """
import ctypes, json, os, signal, socket, subprocess, sys, threading
from pathlib import Path
from rvm_client.isolated import confine

folder, stranger, gpu = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "gpu"
report = {}
confine.limit(confine.ProcessLimits(1 << 30, 60), os.getppid())
report["calls"] = confine.refuse_calls(uses_gpu=gpu)
report["folder"] = confine.see_only(folder, [p for p in sys.path if p], uses_gpu=gpu)
libc = ctypes.CDLL(None, use_errno=True)

def call(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")

def in_a_thread():
    errors = []
    def work():
        try:
            socket.socket()
        except OSError as exc:
            errors.append(exc)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]

ATTEMPTS = {
    "a socket": socket.socket,
    "a socket in a thread": in_a_thread,
    "a socket of IPv6": lambda: socket.socket(socket.AF_INET6),
    "a packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "a netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "a local socket": lambda: socket.socket(socket.AF_UNIX),
    "a program": lambda: os.execv("/bin/true", ["true"]),
    "a process": os.fork,
    "a signal": lambda: os.kill(os.getppid(), 0),
    "the parent's environment": lambda: open(f"/proc/{os.getppid()}/environ").read(),
    "the parent's memory": lambda: open(f"/proc/{os.getppid()}/mem", "rb"),
    "tracing": lambda: call(101, 16, os.getppid(), 0, 0),
    "reading memory": lambda: call(310, os.getppid(), 0, 0, 0, 0, 0),
    "an io_uring": lambda: call(425, 8, 0),
    "openat2": lambda: call(437, -100, b"/etc/passwd", 0, 24),
    "a stranger's file": lambda: open(stranger).read(),
    "the password file": lambda: open("/etc/passwd").read(),
    "a new file": lambda: open(folder / "new", "w"),
    "a file to write": lambda: open(folder / "job", "r+"),
    "a removal": lambda: os.unlink(folder / "job"),
    "a link": lambda: os.symlink("/", folder / "link"),
    "a chmod": lambda: os.chmod(folder / "job", 0o777),
    "more memory": lambda: bytearray(2 << 30),
    "the job's file": lambda: open(folder / "job").read(),
    "a library": lambda: __import__("sqlite3"),
    "a thread": lambda: threading.Thread(target=int).start(),
}
for name, attempt in ATTEMPTS.items():
    try:
        attempt()
    except MemoryError:
        report[name] = 12
    except OSError as exc:
        report[name] = exc.errno
    else:
        report[name] = 0
print(json.dumps(report))
"""
ALLOWED = {"the job's file", "a library", "a thread"}


def attempts(tmp_path: Path, *, gpu: bool) -> dict[str, int | bool]:
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "job").write_text("frames")
    (tmp_path / "secret").write_text("of another job")
    done = subprocess.run(
        [sys.executable, "-c", ATTEMPTS, folder, tmp_path / "secret", "gpu" if gpu else "none"],
        # Threads of OpenBLAS would be there before anything is given up.
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, int | bool] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize("gpu", [False, True])
def test_what_it_cannot_do(tmp_path: Path, gpu: bool) -> None:
    report = attempts(tmp_path, gpu=gpu)
    assert report.pop("calls") is True
    if not report.pop("folder"):
        pytest.skip("this kernel has no Landlock")
    allowed = ALLOWED | {"a local socket"} if gpu else ALLOWED
    assert {name for name, error in report.items() if error == 0} == allowed
    assert (tmp_path / "job" / "job").read_text() == "frames"


def test_its_environment_holds_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    with DecoderPool(LIMITS, uses_gpu=False) as fresh:
        process = fresh.ready()
        assert isinstance(process, DecoderProcess)
        content = Path(f"/proc/{process.pid}/environ").read_bytes()
        assert b"secret" not in content
        assert b"PYTHONPATH" in content
        # Only what it was given: nothing, nothing, nothing, and its connection.
        targets = [str(path.readlink()) for path in Path(f"/proc/{process.pid}/fd").iterdir()]
        assert sorted(target.partition(":")[0] for target in targets) == [
            "/dev/null",
            "/dev/null",
            "/dev/null",
            "socket",
        ]
        with fresh.job(tmp_path, threading.Event()):
            assert process.refuses_calls
            status = Path(f"/proc/{process.pid}/status").read_text()
            assert "NoNewPrivs:\t1" in status
            assert "Seccomp:\t2" in status
            assert psutil.Process(process.pid).rlimit(psutil.RLIMIT_CORE) == (0, 0)
