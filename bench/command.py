"""The command as a user runs it: start-up and peak memory."""

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.clips import SIZES, write_clip
from bench.serving import start_server
from bench.settings import BenchSettings
from rvm_client.config import process_environment

# WebM, MP4, MOV: the suffix chooses the type of output.
SUFFIXES = (".webm", ".mp4", ".mov")
_FILE_CACHE_SWITCH = Path("/proc/sys/vm/drop_caches")


@dataclass(frozen=True)
class Run:
    """One call of the command: what it took, and its peaks."""

    seconds: float
    client_bytes: int
    """Resident memory without what is shared: pixels in shared memory, and libraries."""
    client_all_bytes: int
    """Resident memory with it."""
    server_bytes: int
    """The memory of the server and its backends, without what is shared."""


def measure_command(settings: BenchSettings, folder: Path) -> dict[str, dict[str, float]]:
    """The command: from its start to the end of a video of one frame, and its peak memory."""
    height, width, _ = SIZES["1080p"]
    one = write_clip(folder / "one.mp4", height, width, 1)
    rows = {}
    server = start_server(settings)
    try:
        running = ["--triton-url", server.grpc_url]
        rows["first frame, server running"] = median_seconds(settings, one, folder, running)
    finally:
        server.stop()
    rows["first frame, with its own server"] = median_seconds(settings, one, folder, [])
    if empty_file_cache():
        seconds = run_command(settings, one, folder / "cold.webm", []).seconds
        rows["first frame, with its own server, no file cached"] = {"seconds": round(seconds, 2)}
    for count in (settings.clip_frames, 4 * settings.clip_frames):
        long = write_clip(folder / "long.mp4", height, width, count)
        for suffix in SUFFIXES:
            run = run_command(settings, long, folder / f"long{suffix}", [])
            rows[f"{suffix}, {count} frames of 1080p"] = {
                "client_mb": round(run.client_bytes / 1e6),
                "client_with_shared_mb": round(run.client_all_bytes / 1e6),
                "server_mb": round(run.server_bytes / 1e6),
            }
    return rows


def median_seconds(
    settings: BenchSettings, clip: Path, folder: Path, arguments: list[str]
) -> dict[str, float]:
    """The median of three runs."""
    runs = [run_command(settings, clip, folder / "one.webm", arguments) for _ in range(3)]
    return {"seconds": round(statistics.median(run.seconds for run in runs), 2)}


def empty_file_cache() -> bool:
    """Let the system forget the files that it has read; False where it does not let us."""
    try:
        os.sync()
        _FILE_CACHE_SWITCH.write_text("3")
    except OSError:
        return False
    return True


def run_command(settings: BenchSettings, clip: Path, target: Path, arguments: list[str]) -> Run:
    """Run `rvm-matte` to its end."""
    command = [sys.executable, "-c", "from rvm_client.cli.matte import matte; matte()"]
    command += [str(clip), "-o", str(target), *arguments]
    environment = process_environment() | {"RVM_MODEL_REPOSITORY": str(settings.repository)}
    started_s = time.perf_counter()
    process = psutil.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    own = everything = servers = 0
    while process.poll() is None:
        private, whole = resident_bytes(process)
        own, everything = max(own, private), max(everything, whole)
        children = process.children(recursive=True) if process.is_running() else []
        servers = max(servers, sum(resident_bytes(child)[0] for child in children))
        time.sleep(0.05)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return Run(time.perf_counter() - started_s, own, everything, servers)


def resident_bytes(process: psutil.Process) -> tuple[int, int]:
    """What a process has in memory: without what it shares, and with it."""
    try:
        memory = process.memory_info()
    except psutil.Error:
        return 0, 0
    return int(memory.rss - memory.shared), int(memory.rss)
