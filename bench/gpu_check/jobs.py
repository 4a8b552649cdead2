"""Whole jobs for each type of output, with codecs in software and on the GPU's video engines."""

import statistics
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image, ImageSequence

from bench.gpu_check.lines import Check, CheckFailedError, Outcome, not_here, passed
from bench.gpu_check.subject import Subject
from rvm_client.decode import VideoReader
from rvm_client.encode import VIDEO_FORMATS
from rvm_client.machine import Hardware
from rvm_client.options import Limits, MatteOptions
from rvm_client.output_types import FileRole, OutputType
from rvm_client.pipeline import MatteResult, matte_video

_NO_ENGINES = "a processor has no video engines"
# Compute capabilities of the chips that decode and do not encode: GA100 (A100, A30), GH100 (H100,
# H200), GB100 (B200), GB300.
_WITHOUT_NVENC = ((8, 0), (9, 0), (10, 0), (10, 3))


def job_checks(subject: Subject) -> Iterator[tuple[str, Check]]:
    """NVDEC's pictures, and a line for each type of output and each kind of codecs."""
    yield "decode: NVDEC gives the pictures of software", partial(_same_pictures, subject)
    for kind in OutputType:
        yield f"job: {kind.value}, software", partial(_job, subject, kind, engines=False)
        title = f"job: {kind.value}, {'NVDEC, NVENC' if has_nvenc_format(kind) else 'NVDEC'}"
        yield title, partial(_job, subject, kind, engines=True)


def has_nvenc_format(kind: OutputType) -> bool:
    """Whether a GPU may encode this type, or a part of it."""
    parts = MatteOptions(kind).unfolded(Path()).output_types
    return any(p in VIDEO_FORMATS and VIDEO_FORMATS[p].hardware is not None for p in parts)


def _same_pictures(subject: Subject) -> Outcome:
    if not subject.settings.on_gpu:
        return not_here(_NO_ENGINES)
    by_gpu, by_software = Limits(hardware=Hardware(Path("/dev"))), Limits()
    clip = subject.clip()
    count = 0
    with VideoReader(clip, limits=by_gpu) as gpu, VideoReader(clip, limits=by_software) as software:
        for ours, theirs in zip(gpu.chunks(1), software.chunks(1), strict=True):
            if ours.pts != theirs.pts or not np.array_equal(ours.src, theirs.src):
                raise CheckFailedError(f"frame {count} is another one than that of software")
            count += 1
        if not gpu.decoder.endswith("_nvdec"):
            raise CheckFailedError(f"decoded by {gpu.decoder}; a warning above may say why")
    return passed(f"{count} frames to the last bit", frames=count)


def _job(subject: Subject, kind: OutputType, *, engines: bool) -> Outcome:
    settings = subject.settings
    if engines and not settings.on_gpu:
        return not_here(_NO_ENGINES)
    limits = Limits(hardware=Hardware(Path("/dev") if engines else None))
    target = subject.folder / f"{kind.value}{kind.suffix}"
    with subject.model() as model:
        results = [
            matte_video(subject.clip(), target, model, MatteOptions(kind), limits)
            for _ in range(settings.jobs)
        ]
    result = results[-1]
    nvenc = engines and has_nvenc_format(kind) and _gpu_has_nvenc()
    check_codecs(result, nvdec=engines, nvenc=nvenc)
    check_way(result, planes=settings.on_gpu and kind.facts.takes_planes)
    check_files(result, settings.clip_frames)
    fps = round(result.frames / statistics.median(r.processing_seconds for r in results), 1)
    lacks = engines and has_nvenc_format(kind) and not nvenc
    return passed(
        f"{fps:g} frames a second, {result.frames} of {settings.largest_size}; "
        f"{result.video_decoder} to {result.video_encoder}, {result.pixel_layout} in "
        f"{result.transport}{'; this GPU has no NVENC' if lacks else ''}",
        fps=fps,
        decode_s=round(result.stage_seconds.decode, 2),
        matte_s=round(result.stage_seconds.matte, 2),
        encode_s=round(result.stage_seconds.encode, 2),
    )


def _gpu_has_nvenc() -> bool:
    return torch.cuda.get_device_capability() not in _WITHOUT_NVENC


def check_codecs(result: MatteResult, *, nvdec: bool, nvenc: bool) -> None:
    """Whether the video engines did what they were to do, and nothing else.

    Raises:
        CheckFailedError: another decoder or encoder was used.
    """
    used = (("decoded", result.video_decoder, "nvdec", nvdec),
            ("encoded", result.video_encoder, "nvenc", nvenc))  # fmt: skip
    for what, codec, engine, is_asked in used:
        if codec.endswith(f"_{engine}") != is_asked:
            wanted = engine.upper() if is_asked else "software"
            raise CheckFailedError(
                f"the video was {what} by {codec} and not by {wanted}; a warning above may say why"
            )


def check_way(result: MatteResult, *, planes: bool) -> None:
    """Whether frames went to the server as they should, and nothing was lost.

    Raises:
        CheckFailedError: they did not, or the result has a warning.
    """
    layout = "I420" if planes else "RGB"
    if (result.transport, result.pixel_layout) != ("shared memory", layout):
        raise CheckFailedError(
            f"frames went to the server as {result.pixel_layout} by {result.transport}, and not "
            f"as {layout} in shared memory"
        )
    if result.warnings:
        raise CheckFailedError(f"the result has a warning: {result.warnings[0]}")


def check_files(result: MatteResult, frames: int) -> None:
    """Whether each file, opened again, has all frames.

    Raises:
        CheckFailedError: a file is missing, or one has another number of them.
    """
    roles = result.output_type.facts.roles
    if {*result.files} != {*roles}:
        raise CheckFailedError(f"the job made {len(result.files)} files, and not {len(roles)}")
    if result.output_type.facts.animation is not None:
        # It may leave out every second, third or fourth.
        count = _pictures_in_animation(result.path)
        if not frames / 4 <= count <= frames:
            raise CheckFailedError(f"{result.path.name} has {count} pictures of {frames} frames")
        return
    for role, path in result.files.items():
        if role in (FileRole.POSTER, FileRole.PAGE):
            continue
        count = _pictures_in_zip(path) if path.suffix == ".zip" else _pictures_in_video(path)
        if count != frames:
            raise CheckFailedError(f"{path.name} has {count} frames of {frames}")


def _pictures_in_zip(path: Path) -> int:
    with zipfile.ZipFile(path) as pictures:
        if (damaged := pictures.testzip()) is not None:
            raise CheckFailedError(f"{damaged} in {path.name} is damaged")
        return sum(name.endswith(".png") for name in pictures.namelist())


def _pictures_in_animation(path: Path) -> int:
    with Image.open(path) as animation:
        return sum(1 for picture in ImageSequence.Iterator(animation) if picture.load())


def _pictures_in_video(path: Path) -> int:
    with av.open(str(path)) as video:
        return sum(1 for _ in video.decode(video=0))
