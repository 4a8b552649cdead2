"""All types of output beside each other: how fast they are written, and how large they are.

Each row writes the same mattes, as the pipeline does, but without sound.
"""

import time
from pathlib import Path

from bench.clips import write_clip
from bench.encoders import Material, matted
from bench.settings import BenchSettings
from rvm_client.encode import open_writer
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.server import TritonServer

_SECONDS = 10


def measure_output_types(
    settings: BenchSettings, folder: Path, server: TritonServer
) -> dict[str, dict[str, float]]:
    """A row for each type that there is."""
    clip = settings.clip or write_clip(folder / "types.mp4", 720, 1280, settings.clip_frames)
    material = matted(clip, server, settings.clip_frames)
    return {kind.value: _written(kind, folder, material) for kind in OutputType}


def _written(kind: OutputType, folder: Path, material: Material) -> dict[str, float]:
    target = folder / kind.value / f"out{kind.suffix}"
    target.parent.mkdir()
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    with open_writer(target, MatteOptions(kind), material.info) as writer:
        for chunk in material.mattes:
            writer.write(chunk)
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    frames = len(material.mattes)
    seconds = frames / float(material.info.average_fps)
    size_bytes = sum(path.stat().st_size for path in target.parent.iterdir())
    return {
        f"mb_in_{_SECONDS}_s": round(size_bytes / 1e6 / seconds * _SECONDS, 2),
        "fps": round(frames / wall_s, 1),
        "cpu_ms_a_frame": round(1000 * cpu_s / frames, 1),
    }
