"""The segments of a video to the file that one run would have written."""

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from rvm_client.encode import open_joined
from rvm_client.errors import JoinError, printable
from rvm_client.isolated import Opener, OpensHere
from rvm_client.machine import naming_want_of_memory
from rvm_client.options import Limits, MatteOptions
from rvm_client.pipeline.parts import check_cancelled, open_sound
from rvm_client.pipeline.results import MatteResult, StageSeconds
from rvm_client.pipeline.segment import SegmentMade, load_segment


def join_segments(
    source: Path,
    target: Path,
    segments: Sequence[Path],
    options: MatteOptions,
    limits: Limits,
    *,
    opener: Opener | None = None,
    cancelled: threading.Event | None = None,
) -> MatteResult:
    """Join what `matte_segment` made, and put the sound of `source` beside it.

    Args:
        source, target, options, limits, opener, cancelled: as in `matte_video`, of the whole.
        segments: the targets of all segments, in order.

    Raises:
        JoinError: the segments do not fit together.
        InputError, OutputError, StoppedError, OutOfMemoryError: as `matte_video`.
    """
    started_s = time.monotonic()
    opener = opener or OpensHere()
    made = [load_segment(segment) for segment in segments]
    _check_same(made, "model_version")
    warnings: list[str] = []
    with naming_want_of_memory(), ExitStack() as stack:
        with opener.video(source, options, limits.in_software()) as reader:
            info = reader.info
        sound = open_sound(stack, opener, source, options, info, warnings)
        joined = open_joined(
            target,
            options,
            info,
            segments,
            hardware=limits.hardware,
            sound=sound,
            check=lambda: check_cancelled(cancelled),
        )
        with joined:
            pass
    result = _sum(made, options)
    files = joined.files
    warnings = [*result.warnings, *map(printable, warnings)]
    return replace(
        result,
        path=target,
        files=files,
        bytes=sum(path.stat().st_size for path in files.values()),
        average_fps=float(info.average_fps),
        duration_seconds=info.duration_seconds or result.frames / float(info.average_fps),
        processing_seconds=result.processing_seconds + time.monotonic() - started_s,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _check_same(made: Sequence[SegmentMade], name: str) -> None:
    values = list(dict.fromkeys(str(segment.facts[name]) for segment in made))
    if len(values) > 1:
        raise JoinError(f"its segments have several {name.replace('_', ' ')}s: {', '.join(values)}")


def _sum(made: Sequence[SegmentMade], options: MatteOptions) -> MatteResult:
    """What the segments say together; of files, nothing yet."""
    first = made[0].facts

    def total(name: str) -> float:
        return float(sum(segment.facts[name] for segment in made))

    def all_of(name: str) -> str:
        return ", ".join(dict.fromkeys(str(segment.facts[name]) for segment in made))

    stages = [segment.facts["stage_seconds"] for segment in made]
    return MatteResult(
        path=Path(),
        files={},
        also={},
        output_type=options.output_type,
        width_pixels=first["width_pixels"],
        height_pixels=first["height_pixels"],
        frames=int(total("frames")),
        warm_up_frames=int(total("warm_up_frames")),
        cuts=int(total("cuts")),
        keyed_frames=int(total("keyed_frames")),
        average_fps=0.0,
        duration_seconds=0.0,
        bytes=0,
        downsample_ratio=first["downsample_ratio"],
        transport=all_of("transport"),
        pixel_layout=all_of("pixel_layout"),
        video_decoder=all_of("video_decoder"),
        video_encoder=all_of("video_encoder"),
        model=first["model"],
        model_version=first["model_version"],
        processing_seconds=total("processing_seconds"),
        stage_seconds=StageSeconds(
            *(sum(stage[name] for stage in stages) for name in ("decode", "matte", "encode"))
        ),
        warnings=tuple(warning for segment in made for warning in segment.facts["warnings"]),
    )
