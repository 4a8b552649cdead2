"""The process between us and tritonserver: nothing outlives it, and it never outlives us.

Run as a script, with the standard library only: `guard.py LIMIT_S PREFIX FOLDER COMMAND...`

It starts COMMAND in a process group of its own, writes its process id to stdout, and ends it when
the line `stop` or `kill` comes on stdin, or when our process is gone, however it died. At the end
the whole group is killed, and the /dev/shm segments with PREFIX are removed and what the server's
Python backend made in /tmp; FOLDER too if nobody is left to read the log in it. The exit status is
COMMAND's, or 128 + the signal that ended it. FOLDER/server.log is COMMAND's log, our stderr.

A process of its own, because a process that is killed hard cannot clean up, and because
PR_SET_PDEATHSIG follows the thread that started a child: here that is the only one.
"""

import contextlib
import ctypes
import fcntl
import math
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path

SEGMENT_FOLDER = Path("/dev/shm")
LOG_LIMIT_BYTES = 32 * 2**20
TICK_S = 0.1
# An orderly end of a model's process is waited for in less.
LOST_TICKS = 5
# Triton's last words when all models are unloaded. From then on it only waits for connections to
# time out, which has been seen to take 8 s.
DRAINED = b"Found 0 live models and 0 in-flight"
DRAINED_GRACE_S = 0.5
# Triton's Python backend makes a folder for environments here, whatever TMPDIR says, and leaves it
# when it is killed. Our models have none, so that it stays empty.
ENVIRONMENTS = (Path("/tmp"), "python_env_*")
ENVIRONMENT_LINK = "python_env"
ENVIRONMENT_WITHIN_S = 10.0
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def main(arguments: list[str]) -> int:
    """Guard one server for its whole life. Returns the exit status."""
    limit_s, prefix, folder, *command = arguments
    parent = os.getppid()
    # Orphans of the server come to us, so that we can wait until they are gone.
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    environment = Environment(Path(folder))
    server = spawn(command)
    print(server, flush=True)
    try:
        status = watch(server, parent, Path(folder) / "server.log", float(limit_s), environment)
    finally:
        end_group(server)
        remove_segments(prefix)
        remove_environment(Path(folder))
    if os.getppid() != parent or "" in read_orders(0):
        shutil.rmtree(folder, ignore_errors=True)
    return status


class Environment:
    """Finds the server's folder for environments: a new one that no other guard has locked.

    Two that start at the same moment may take each other's; both folders are empty and go when
    their server has started long since. FOLDER gets a link to it.
    """

    def __init__(self, folder: Path) -> None:
        parent, self._pattern = ENVIRONMENTS
        self._parent, self._link = parent, folder / ENVIRONMENT_LINK
        self._known = set(parent.glob(self._pattern))
        self._ends_s = time.monotonic() + ENVIRONMENT_WITHIN_S

    def look(self) -> None:
        """Look once; to be called again and again."""
        if self._link.is_symlink() or time.monotonic() > self._ends_s:
            return
        for path in sorted({*self._parent.glob(self._pattern)} - self._known):
            self._known.add(path)
            if lock(path):
                self._link.symlink_to(path)
                return


def lock(folder: Path) -> bool:
    """Lock a folder of this user for the life of this process; False: it is not to be had."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_uid == os.geteuid():
                return True
        os.close(descriptor)
    return False


def spawn(command: list[str]) -> int:
    """Start the server. Returns its process id, which is its group's too."""
    guard = os.getpid()
    server = os.fork()
    if server:
        # Both sides do it: whoever comes first.
        with contextlib.suppress(OSError):
            os.setpgid(server, server)
        return server
    try:
        os.setpgid(0, 0)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        os.execv(command[0], command)
    except OSError as exc:
        os.write(2, f"{command[0]}: {exc.strerror}\n".encode())
    os._exit(127)


def watch(server: int, parent: int, log: Path, limit_s: float, environment: "Environment") -> int:
    """Wait for the server's end, and bring it about when asked. Returns its exit status."""
    deadline, drained, ticks_lost = math.inf, False, 0
    while True:
        pid, status = os.waitpid(server, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return 0 if drained else code if code >= 0 else 128 - code
        orders = read_orders(TICK_S)
        orphaned = "" in orders or os.getppid() != parent
        if deadline == math.inf and ("stop" in orders or orphaned):
            os.kill(server, signal.SIGTERM)
            deadline = time.monotonic() + limit_s
        if not drained and deadline < math.inf:
            ticks_lost = ticks_lost + 1 if has_lost_model(server) else 0
            if ticks_lost > LOST_TICKS or DRAINED in log_end(log):
                drained, deadline = True, time.monotonic() + DRAINED_GRACE_S
        if "kill" in orders or time.monotonic() > deadline:
            os.killpg(server, signal.SIGKILL)
        if orphaned:
            # A closed stdin is always readable: without this pause the loop would spin.
            time.sleep(TICK_S)
        limit_log()
        environment.look()


def has_lost_model(server: int) -> bool:
    """Whether a process that ran a model for the server has died, which it would wait for."""
    return any(is_dead_child(stat, server) for stat in Path("/proc").glob("[0-9]*/stat"))


def is_dead_child(stat: Path, parent: int) -> bool:
    """Whether a line of /proc/PID/stat is that of a zombie which `parent` has not waited for."""
    try:
        state, parent_id = stat.read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return False
    return state == "Z" and int(parent_id) == parent


def log_end(log: Path) -> bytes:
    """The last kilobyte of the log; empty when somebody has removed it."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 1024))
            return file.read()
    except OSError:
        return b""


def read_orders(timeout_s: float) -> list[str]:
    """The words that came on stdin; an empty one means that the other end is gone."""
    if not select.select([0], [], [], timeout_s)[0]:
        return []
    return os.read(0, 4096).decode().split() or [""]


def end_group(group: int) -> None:
    """Kill what is left of a process group and wait until it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-group, 0)


def remove_segments(prefix: str) -> None:
    """Remove the shared memory segments whose names start with `prefix`."""
    for segment in SEGMENT_FOLDER.glob(f"{prefix}*"):
        segment.unlink(missing_ok=True)


def remove_environment(folder: Path) -> None:
    """Remove the folder for environments, if empty, of the server whose own folder this is."""
    with contextlib.suppress(OSError):
        (folder / ENVIRONMENT_LINK).readlink().rmdir()


def remove_traces(folder: Path) -> None:
    """Remove a server's folder, and what it made elsewhere by the folder's name."""
    remove_segments(f"{folder.name}-")
    remove_environment(folder)
    shutil.rmtree(folder, ignore_errors=True)


def limit_log() -> None:
    """Start the log anew when it has grown too long. It is opened for appending."""
    if os.fstat(2).st_size > LOG_LIMIT_BYTES:
        os.ftruncate(2, 0)


def prctl(option: int, value: int) -> None:
    """The system call of that name."""
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
