"""Previews and jobs: the pipeline is called as the other edges call it."""

import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from rvm_client.errors import StoppedError
from rvm_client.matte import MattingModel
from rvm_client.options import Also, MatteOptions
from rvm_client.output_types import FileRole, OutputType
from rvm_client.pipeline import MatteProgress, MatteResult, matte_video
from rvm_client.web.book import Book
from rvm_client.web.estimates import note_measure
from rvm_client.web.fetching import fetch
from rvm_client.web.records import Job, Look, MadeFile, Video
from rvm_client.web.shop import Shop
from rvm_client.web.sources import preview_bounds, write_before
from rvm_client.web.wishes import Wish, look_type, parse_wish
from rvm_client.web_video import WebVideo

_PREVIEW_SIDE_PIXELS = 256
_TELL_S = 0.2


def matte_preview(
    video: Video, look: Look, shop: Shop, model: MattingModel, cancelled: threading.Event
) -> Look:
    """Matte the first second, small and fast.

    Raises:
        RvmError: whatever went wrong.
    """
    folder, kind = shop.folders.of(video), look_type(look.kind)
    tools = shop.workplace.tools(cancelled)
    target = folder / f"preview{kind.suffix}"
    options = replace(preview_bounds(), output_type=kind, longest_side_pixels=_PREVIEW_SIDE_PIXELS)
    with tools.decoders.job(folder, cancelled) as opener:
        result = matte_video(
            shop.folders.source(video),
            target,
            model,
            options,
            tools.limits,
            opener=opener,
            cancelled=cancelled,
            request_id=f"preview-{video.id}",
        )
    return _done(look, result, target.name)


def do_job(job: Job, video: Video, shop: Shop, cancelled: threading.Event) -> dict[str, Any]:
    """Do one job; returns what is to be changed in its record.

    Raises:
        RvmError: whatever went wrong.
    """
    folder, source = shop.folders.of(video), shop.folders.source(video)
    wish = parse_wish(job.fields, list(job.output_types), video.backgrounds)
    options = _options(job, wish, folder)
    with ExitStack() as stack:
        if wish.background_url is not None:
            behind = _fetched_background(stack, wish.background_url, job, shop, cancelled)
            options = replace(options, background=behind)
        model = stack.enter_context(shop.workplace.open_model(cancelled))
        tools = shop.workplace.tools(cancelled)
        opener = stack.enter_context(tools.decoders.job(folder, cancelled))
        shop.book.change_job(job.id, kept=False, doing="matting")
        result = matte_video(
            source,
            _target(folder, job, wish.parts[0]),
            model,
            options,
            tools.limits,
            opener=opener,
            on_progress=_Teller(shop.book, job.id),
            cancelled=cancelled,
            request_id=job.id,
        )
        shop.book.change_job(job.id, kept=False, doing="finishing", seconds_left=None)
        before = _before(job, options)
        if before is not None:
            silent = replace(options, audio=False)
            write_before(source, folder / before, silent, tools.limits, opener, cancelled)
    note_measure(shop.measures, options, result)
    return _changes(job, video, wish, result, before)


def _options(job: Job, wish: Wish, folder: Path) -> MatteOptions:
    kinds = list(wish.parts)
    if look_type(job.look_kind) not in kinds:
        kinds.append(look_type(job.look_kind))
    options = wish.options(folder, [Also(kind, _target(folder, job, kind)) for kind in kinds[1:]])
    if not wish.has_set:
        return options
    return replace(options, poster=_set_file(folder, job, FileRole.POSTER))


def _before(job: Job, options: MatteOptions) -> str | None:
    """The name of a file with the part as it was; None: that is the whole video."""
    is_whole = not options.start_seconds and options.end_seconds is None
    return None if is_whole else f"{job.id}-before.mp4"


def _target(folder: Path, job: Job, kind: OutputType) -> Path:
    return folder / f"{job.id}-{kind.value}{kind.suffix}"


def _set_file(folder: Path, job: Job, role: FileRole) -> Path:
    """What the set has beside its videos."""
    kind = OutputType.AUTO_WEB
    return folder / f"{job.id}-{kind.value}{kind.ending(role)}"


def _fetched_background(
    stack: ExitStack, url: str, job: Job, shop: Shop, cancelled: threading.Event
) -> Path:
    """What stands behind the person, from its URL, for as long as the job needs it."""
    video = shop.book.video(job.video_id)
    if video is None:
        raise StoppedError("the video is gone")
    target = shop.folders.of(video) / f"{job.id}-background"
    shop.book.change_job(job.id, kept=False, doing="fetching the background")
    fetch(url, target, shop.options, cancelled)
    stack.callback(target.unlink, missing_ok=True)
    return target


def _changes(
    job: Job, video: Video, wish: Wish, result: MatteResult, before: str | None
) -> dict[str, Any]:
    made = {result.output_type: result.files, **result.also}
    if wish.has_set:
        made[OutputType.AUTO_WEB] = _set_of(job, made, result, video.name)
    look = Look(kind=job.look_kind, source_file=before)
    look_file = made[look_type(job.look_kind)][FileRole.OUTPUT].name
    return {
        "state": "done",
        "files": tuple(
            file
            for kind in wish.output_types
            for file in _made(kind, made[kind], result, video.name)
        ),
        "look": _done(look, result, look_file),
        "warnings": result.warnings,
        "frames_done": result.frames,
        "frames_expected": result.frames,
        "fps": round(result.frames / result.processing_seconds, 2),
    }


def _set_of(
    job: Job, made: Mapping[OutputType, Mapping[FileRole, Path]], result: MatteResult, name: str
) -> dict[FileRole, Path]:
    """The files of the set. Its page names them as they are called once they are downloaded."""
    kind = OutputType.AUTO_WEB
    names = {role: _name_of(kind, role, name) for role in kind.facts.roles}
    page = _set_file(result.path.parent, job, FileRole.PAGE)
    element = WebVideo.beside(names, result.width_pixels, result.height_pixels)
    page.write_text(element.page(Path(name).stem), encoding="utf-8")
    return {
        FileRole.OUTPUT: made[OutputType.ALPHA][FileRole.OUTPUT],
        FileRole.HEVC: made[OutputType.ALPHA_HEVC][FileRole.OUTPUT],
        FileRole.POSTER: result.files[FileRole.POSTER],
        FileRole.PAGE: page,
    }


def _name_of(kind: OutputType, role: FileRole, name: str) -> str:
    """What a file is called for whoever downloads it."""
    return f"{Path(name).stem or 'video'}-{kind.value}{kind.ending(role)}"


def _done(look: Look, result: MatteResult, file: str) -> Look:
    return look.model_copy(
        update={
            "state": "done",
            "look_file": file,
            "width": result.width_pixels,
            "height": result.height_pixels,
            "fps": round(result.average_fps, 3),
            "frames": result.frames,
        }
    )


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
            fps=round(fps, 2),
            seconds_left=left and round(left, 1),
        )


def _made(
    kind: OutputType, files: Mapping[FileRole, Path], result: MatteResult, name: str
) -> list[MadeFile]:
    return [
        MadeFile(
            output_type=kind.value,
            role=role.value,
            name=_name_of(kind, role, name),
            file=path.name,
            bytes=path.stat().st_size,
            content_type=kind.content_type(role),
            width=result.width_pixels,
            height=result.height_pixels,
        )
        for role, path in files.items()
        # The poster of a set comes with the file beside which it was made.
        if role in kind.facts.roles
    ]
