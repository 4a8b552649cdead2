"""What is done with a damaged file, and how it may end: well, or as one clear error."""

import gc
import shutil
import threading
import time
import traceback
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from random import Random

from rvm_client.backdrop import open_backdrop
from rvm_client.decode import VideoReader
from rvm_client.errors import RvmError
from rvm_client.frames import VideoInfo
from rvm_client.matte import MattingModel
from rvm_client.options import Limits, MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pipeline import matte_video, transcode

LIMITS = Limits(max_duration_seconds=60, max_frame_pixels=1 << 19, max_frames=400)
_PICTURES = (".png", ".jpg", ".webp", ".bmp", ".tif")
_SHARE_OF_BACKGROUNDS = 0.1
_MOMENTS_SECONDS = [index / 25 for index in range(25)]
_BEFORE_IT = VideoInfo(
    width_pixels=96,
    height_pixels=64,
    time_base=Fraction(1, 25),
    average_fps=Fraction(25),
    duration_seconds=None,
    frame_count_from_header=None,
    sample_aspect_ratio=Fraction(1),
)
_LONGEST_MESSAGE = 1000
# Encoders and readers end their threads as they are let go of.
_PATIENCE_S = 2.0


class Verdict(str, Enum):
    """How a file ended."""

    DECODED = "decoded"
    REFUSED = "refused"
    """By one of our errors, in one line."""
    UNCAUGHT = "uncaught"
    LEFTOVER = "leftover"
    """A file, a descriptor or a thread stayed."""
    MEMORY = "memory"
    """More of it than the bound."""
    SIGNAL = "signal"
    HANG = "hang"

    @property
    def is_good(self) -> bool:
        """Whether a file may end so."""
        return self in (Verdict.DECODED, Verdict.REFUSED)


@dataclass(frozen=True)
class Outcome:
    """What came of one file."""

    verdict: Verdict
    words: str = ""
    """The error, or what stayed."""
    peak_bytes: int = 0
    """The memory of the process at its highest."""


def try_file(
    path: Path, work: Path, random: Random, model: MattingModel | None, max_bytes: int
) -> Outcome:
    """Do to a file what a stranger can have done to it.

    Args:
        path: the file.
        work: a folder for results, made here and removed.
        random: decides what is done.
        model: where there is one, a video goes through the whole pipeline.
        max_bytes: what the process may take.
    """
    work.mkdir()
    before = _held()
    _forget_peak()
    verdict, words = _end(path, work, random, model)
    if verdict.is_good and (left := _left(work, before, may_write=verdict is Verdict.DECODED)):
        verdict, words = Verdict.LEFTOVER, left
    peak_bytes = _peak_bytes()
    if verdict.is_good and peak_bytes > max_bytes:
        verdict, words = Verdict.MEMORY, f"{peak_bytes >> 20} MiB; {words}"
    shutil.rmtree(work)
    return Outcome(verdict, words, peak_bytes)


def _end(path: Path, work: Path, random: Random, model: MattingModel | None) -> tuple[Verdict, str]:
    try:
        if path.suffix in _PICTURES or random.random() < _SHARE_OF_BACKGROUNDS:
            _put_behind(path)
        elif model is not None:
            options = _options(random, work)
            matte_video(path, _target(work, options), model, options, LIMITS)
        else:
            _decode(path, random)
            _encode(path, work, random)
    except RvmError as exc:
        # Of a message, too: one line, that may be shown anywhere.
        is_clear = str(exc).isprintable() and len(str(exc)) < _LONGEST_MESSAGE
        return (Verdict.REFUSED if is_clear else Verdict.UNCAUGHT), str(exc)
    except Exception:
        return Verdict.UNCAUGHT, traceback.format_exc()
    return Verdict.DECODED, ""


def _put_behind(path: Path) -> None:
    with open_backdrop(path, _BEFORE_IT, LIMITS) as backdrop:
        for seconds in _MOMENTS_SECONDS:
            backdrop.at(seconds)


def _decode(path: Path, random: Random) -> None:
    takes_planes = random.random() < 0.5
    with VideoReader(
        path, _options(random, path.parent), LIMITS, takes_planes=takes_planes
    ) as reader:
        for _ in reader.chunks(4):
            pass


def _encode(path: Path, work: Path, random: Random) -> None:
    """With its sound, which nothing else reads."""
    options = _options(random, work)
    transcode(path, _target(work, options), options, LIMITS)


def _options(random: Random, folder: Path) -> MatteOptions:
    return MatteOptions(
        random.choice(list(OutputType)),
        prefer_quality=random.random() < 0.2,
        max_width_pixels=random.choice((None, None, 64)),
        start_seconds=random.choice((None, None, None, 0.1, 0.2)),
        end_seconds=random.choice((None, None, 0.25)),
        preview=random.choice((None, folder / "out-preview.jpg")),
    )


def _target(work: Path, options: MatteOptions) -> Path:
    return work / f"out{options.output_type.suffix}"


def _held() -> tuple[int, int]:
    """Descriptors and threads of this process."""
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


def _left(work: Path, before: tuple[int, int], *, may_write: bool) -> str:
    """What stayed of a file that is done with; empty: nothing."""
    files = [path.name for path in work.iterdir()]
    if any(not may_write or not name.startswith("out") for name in files):
        return f"files: {files}"
    patience_end_s = time.monotonic() + _PATIENCE_S
    while any(now > then for now, then in zip(_held(), before, strict=True)):
        if time.monotonic() > patience_end_s:
            return f"descriptors and threads were {before} and are {_held()}"
        gc.collect()
        time.sleep(0.02)
    return ""


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(kilobytes) << 10
