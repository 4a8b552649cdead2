"""What the figures of a run depend on."""

import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import torch

from bench.settings import BenchSettings


def conditions(settings: BenchSettings) -> dict[str, str]:
    """Of this machine, as one would write them above a table."""
    found = {
        "processor": processor_name(),
        "cores": str(settings.threads),
        "device": settings.device,
    }
    if settings.device == "cuda":
        found |= {
            "GPU": torch.cuda.get_device_name(),
            "driver": driver_version(),
            "CUDA of PyTorch": str(torch.version.cuda),
        }
    return found | {
        "load before the run": Path("/proc/loadavg").read_text("utf-8").split()[0],
        "PyTorch": metadata.version("torch"),
        "Python": platform.python_version(),
        "measured": datetime.now(UTC).isoformat(timespec="minutes"),
    }


def processor_name() -> str:
    """As Linux has it."""
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def driver_version() -> str:
    """The first line of what NVIDIA's kernel module says of itself."""
    file = Path("/proc/driver/nvidia/version")
    return file.read_text("utf-8").splitlines()[0] if file.is_file() else "unknown"
