"""A result to one of another type."""

import threading
from contextlib import ExitStack
from pathlib import Path

from rvm_client.encode import open_writer
from rvm_client.isolated import Opener, OpensHere
from rvm_client.machine import naming_want_of_memory
from rvm_client.options import Limits, MatteOptions
from rvm_client.pipeline.parts import check_cancelled, open_sound


def transcode(
    source: Path,
    target: Path,
    options: MatteOptions,
    limits: Limits,
    *,
    opener: Opener | None = None,
    cancelled: threading.Event | None = None,
) -> None:
    """Encode a result that has alpha again as the type of `options`; nothing is matted.

    `opener` as in `matte_video`: the sound of a result may be a stranger's.

    Raises:
        InputError, OutputError, StoppedError, OutOfMemoryError: as `matte_video`.
    """
    with naming_want_of_memory(), ExitStack() as stack:
        opener = opener or OpensHere()
        options = options.unfolded(target)
        reader = stack.enter_context(opener.video(source, options, limits, keeps_alpha=True))
        sound = open_sound(stack, opener, source, options, reader.info, [])
        writer = stack.enter_context(
            open_writer(target, options, reader.info, sound=sound, jobs_at_once=limits.jobs_at_once)
        )
        for chunk in reader.mattes():
            check_cancelled(cancelled)
            writer.write(chunk)
