"""What a run leaves behind: processes and shared memory.

Other tests run at the same time and have servers and segments of their own, so every check is for
the names of one run: of its process, and of the servers that it starts in a TMPDIR of its own.
"""

from pathlib import Path

import psutil

SEGMENTS = Path("/dev/shm")


def processes_named(name: str, *, environment: str) -> list[int]:
    """Ids of processes by that name with the text somewhere in their environment."""
    found = []
    for process in psutil.process_iter(["name"]):
        if process.info["name"] != name:
            continue
        try:
            if environment in "\n".join(process.environ().values()):
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def server_names(temporary: Path) -> set[str]:
    """Names of the Triton servers whose folders are in this TMPDIR now."""
    return {path.name for path in temporary.glob("rvm-server-*")}


def client_segments(pid: int) -> list[str]:
    """Segments in which the client in a process passes frames to its server."""
    return segments(f"rvm-client-{pid}")


def segments(owner: str) -> list[str]:
    """Segments in /dev/shm of a server or client, by the start of their names."""
    return [path.name for path in SEGMENTS.glob(f"{owner}-*")]


def resident_bytes() -> int:
    """Memory that this process has now. Its peak so far may be another test's."""
    return int(psutil.Process().memory_info().rss)
