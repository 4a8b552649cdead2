"""What every way through the stages needs."""

import threading
from contextlib import ExitStack
from pathlib import Path

from rvm_client.encode import VIDEO_FORMATS
from rvm_client.errors import StoppedError
from rvm_client.frames import VideoInfo
from rvm_client.isolated import Opener
from rvm_client.options import MatteOptions
from rvm_client.sound import SoundTrack


def open_sound(
    stack: ExitStack,
    opener: Opener,
    source: Path,
    options: MatteOptions,
    info: VideoInfo,
    warnings: list[str],
) -> SoundTrack | None:
    """The sound of the same part of the source; `warnings` gets what is lost of it."""
    if not (options.output_type.facts.has_sound and options.audio):
        return None
    start_seconds, end_seconds = options.start_seconds or 0.0, options.end_seconds
    if end_seconds is not None:
        # Both count from the first frame of the file.
        end_seconds += float(info.first_pts * info.time_base) - start_seconds
    sound = SoundTrack.open(
        source,
        VIDEO_FORMATS[options.output_type].container,
        warn=warnings.append,
        origin_seconds=float(info.origin_seconds) if start_seconds else None,
        end_seconds=end_seconds,
        open_sound=opener.sound,
    )
    return sound and stack.enter_context(sound)


def check_cancelled(cancelled: threading.Event | None) -> None:
    """Raise StoppedError where it is set."""
    if cancelled is not None and cancelled.is_set():
        raise StoppedError("the work was cancelled")
