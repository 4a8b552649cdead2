"""Previews and jobs: the pipeline is called as the other edges call it."""

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rvm_client.matte import MattingModel
from rvm_client.options import Also, MatteOptions
from rvm_client.output_types import FileRole, OutputType
from rvm_client.pipeline import MatteProgress, MatteResult, matte_video
from rvm_client.web.book import Book
from rvm_client.web.folders import Folders
from rvm_client.web.records import Job, Look, MadeFile, Video
from rvm_client.web.sources import PREVIEW_SOURCE_NAME, preview_bounds
from rvm_client.web.triton import Tools, Workplace
from rvm_client.web.wishes import Wish, look_type, parse_wish

_PREVIEW_SIDE_PIXELS = 256
_ROLE_MARKS = {FileRole.MATTE: "-matte"}
_TELL_S = 0.2


def matte_preview(
    video: Video,
    look: Look,
    folders: Folders,
    tools: Tools,
    model: MattingModel,
    cancelled: threading.Event,
) -> Look:
    """Matte the first second, small and fast.

    Raises:
        RvmError: whatever went wrong.
    """
    folder = folders.of(video)
    kind = look_type(look.kind)
    target = folder / f"preview{kind.suffix}"
    options = replace(
        preview_bounds(), output_type=kind, audio=False, longest_side_pixels=_PREVIEW_SIDE_PIXELS
    )
    with tools.decoders.job(folder, cancelled) as opener:
        result = matte_video(
            folders.source(video),
            target,
            model,
            options,
            tools.limits,
            opener=opener,
            cancelled=cancelled,
            request_id=f"preview-{video.id}",
        )
    return _look_of(result, look, target.name, PREVIEW_SOURCE_NAME)


def _look_of(result: MatteResult, look: Look, file: str, source_file: str | None) -> Look:
    return look.model_copy(
        update={
            "state": "done",
            "look_file": file,
            "source_file": source_file,
            "width": result.width_pixels,
            "height": result.height_pixels,
            "fps": round(result.average_fps, 3),
            "frames": result.frames,
        }
    )


def do_job(
    job: Job,
    video: Video,
    folders: Folders,
    workplace: Workplace,
    book: Book,
    cancelled: threading.Event,
) -> dict[str, Any]:
    """Do one job; returns what is to be changed in its record.

    Raises:
        RvmError: whatever went wrong.
    """
    folder = folders.of(video)
    wish = parse_wish(job.fields, list(job.output_types), video.backgrounds)
    with workplace.open_model(cancelled) as model:
        tools = workplace.tools(cancelled)
        with tools.decoders.job(folder, cancelled) as opener:
            book.change_job(job.id, kept=False, doing="matting")
            look = Look(kind=job.look_kind)
            options = _job_options(job, wish, folder, look)
            result = matte_video(
                folders.source(video),
                _target(folder, job, wish.output_types[0]),
                model,
                options,
                tools.limits,
                opener=opener,
                on_progress=_Teller(book, job.id),
                cancelled=cancelled,
                request_id=job.id,
            )
    made = {result.output_type: result.files, **result.also}
    looked_at = look_type(job.look_kind)
    look_file = made[looked_at][FileRole.OUTPUT].name
    files = [
        file for kind in wish.output_types for file in _made(kind, made[kind], result, video.name)
    ]
    return {
        "state": "done",
        "files": tuple(files),
        "warnings": result.warnings,
        "look": _look_of(result, look, look_file, video.source_file),
        "frames_done": result.frames,
        "frames_expected": result.frames,
    }


def _job_options(job: Job, wish: Wish, folder: Path, look: Look) -> MatteOptions:
    kinds = list(wish.output_types)
    if look_type(look.kind) not in kinds:
        kinds.append(look_type(look.kind))
    also = tuple(Also(kind, _target(folder, job, kind)) for kind in kinds[1:])
    return replace(wish.options(folder), also=also)


def _target(folder: Path, job: Job, kind: OutputType) -> Path:
    return folder / f"{job.id}-{kind.value}{kind.suffix}"


class _Teller:
    """Writes down how far a job is."""

    def __init__(self, book: Book, job_id: str) -> None:
        self._book, self._job_id = book, job_id
        self._started_s = self._told_s = time.monotonic()

    def __call__(self, progress: MatteProgress) -> None:
        now_s = time.monotonic()
        if now_s - self._told_s < _TELL_S:
            return
        self._told_s = now_s
        fps = progress.frames_done / (now_s - self._started_s)
        expected = progress.frames_expected
        left = None if not expected or not fps else max(0, expected - progress.frames_done) / fps
        self._book.change_job(
            self._job_id,
            kept=False,
            frames_done=progress.frames_done,
            frames_expected=expected,
            frames_per_second=round(fps, 2),
            seconds_left=left and round(left, 1),
        )


def _made(
    kind: OutputType, files: Mapping[FileRole, Path], result: MatteResult, name: str
) -> list[MadeFile]:
    stem = Path(name).stem or "video"
    return [
        MadeFile(
            output_type=kind.value,
            role=role.value,
            name=f"{stem}-{kind.value}{_ROLE_MARKS.get(role, '')}{kind.suffix}",
            file=path.name,
            bytes=path.stat().st_size,
            content_type=kind.facts.content_type,
            width=result.width_pixels,
            height=result.height_pixels,
        )
        for role, path in files.items()
    ]
