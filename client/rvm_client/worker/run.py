"""One job from its URL to its result: download -> matte -> upload, in a folder of its own."""

import functools
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from rvm_client.download import DownloadLimits, download
from rvm_client.errors import OverdueError, StoppedError, UploadError
from rvm_client.isolated import DecoderPool, Opener, OpensHere
from rvm_client.job import BACKGROUND_NAME, Job
from rvm_client.matte import MattingModel
from rvm_client.net import Deadline
from rvm_client.options import Limits, MatteOptions
from rvm_client.output_types import FileRole, OutputType
from rvm_client.owned import OwnedFolder
from rvm_client.pipeline import MatteProgress, MatteResult, matte_video, transcode
from rvm_client.upload import Store, UploadRequest, UploadResult, bucket_store, presigned_store
from rvm_client.web_video import WebVideo
from rvm_client.worker.messages import DownloadMessages, UploadMessages, processing_message

_SOURCE_NAME = "source"
# A store that failed gets one more chance after this: what was matted took longer.
_UPLOAD_PAUSE_S = 15.0


@dataclass(frozen=True)
class JobContext:
    """What all jobs of a worker share."""

    open_model: Callable[[], MattingModel]
    """Connects to the server that is there now."""
    store: Store
    download_limits: DownloadLimits
    limits: Limits
    upload_timeout_s: float
    job_timeout_s: float
    decoders: DecoderPool | None = None
    """Where strangers' files are opened; None: in the worker itself."""


@dataclass(frozen=True)
class JobReport:
    """Where one job tells how far it is, and hears that it should stop."""

    message: Callable[[str], None]
    cancelled: threading.Event
    frames: Callable[[float, float], None] = lambda _started_s, _fetched_s: None
    """Called when frames are done, with the times at which the job began and its source was there
    (time.monotonic)."""
    request_id: str = ""
    """What its requests are called in Triton's log."""


def run_job(job: Job, context: JobContext, report: JobReport) -> dict[str, object]:
    """Do one job; returns its output as users read it.

    Everything it writes lies in a temporary folder, which is gone afterwards whatever happens.

    Raises:
        RvmError: with a sentence for the user.
    """

    def overdue() -> OverdueError:
        return OverdueError(
            f"the job took longer than the limit of {context.job_timeout_s:g} s "
            "(RVM_JOB_TIMEOUT_S); use a shorter or smaller video, or raise the limit and RunPod's "
            "execution timeout"
        )

    with (
        Deadline(context.job_timeout_s, report.cancelled, overdue) as deadline,
        deadline.interrupting(report.cancelled.set),
    ):
        try:
            return _run(job, context, report)
        except StoppedError:
            deadline.check()
            raise


def _run(job: Job, context: JobContext, report: JobReport) -> dict[str, object]:
    started_s = time.monotonic()
    store = _store(job, context)
    with OwnedFolder("rvm-job") as owned:
        folder = owned.path
        fetched_s = _fetch(job, folder, context, report)
        frames = partial(report.frames, started_s, time.monotonic())
        with ExitStack() as stack:
            opener = _opener(stack, folder, context, report)
            matted = _matte(job, folder, context, report, opener, frames)
            files = _fitting_files(matted, store, context.limits, report, opener)
        upload_started_s = time.monotonic()
        stored = _upload(job, files, store, context, report)
        now_s = time.monotonic()
        seconds = {
            "download": fetched_s,
            "processing": matted.processing_seconds,
            "decode": matted.stage_seconds.decode,
            "matte": matted.stage_seconds.matte,
            "encode": matted.stage_seconds.encode,
            "upload": now_s - upload_started_s,
            "total": now_s - started_s,
        }
        report.message("Done (100%)")
        return _output(stored, matted, files, seconds)


def _store(job: Job, context: JobContext) -> Store:
    allow_private_addresses = context.download_limits.allow_private_addresses
    if job.upload_url is not None:
        return presigned_store(job.upload_url, allow_private_addresses=allow_private_addresses)
    if job.s3_config is not None:
        return bucket_store(
            job.s3_config.endpoint_url,
            job.s3_config.bucket_name,
            job.s3_config.access_id.get_secret_value(),
            job.s3_config.access_secret.get_secret_value(),
            allow_private_addresses=allow_private_addresses,
        )
    return context.store


def _fetch(job: Job, folder: Path, context: JobContext, report: JobReport) -> float:
    """Download what the job names; returns the seconds it took."""
    urls = {_SOURCE_NAME: job.video_url}
    if job.background_url is not None:
        urls[BACKGROUND_NAME] = job.background_url
    seconds = 0.0
    messages = DownloadMessages(report.message)
    for name, url in urls.items():
        fetched = download(
            url,
            folder / name,
            context.download_limits,
            on_progress=messages if name == _SOURCE_NAME else None,
            cancelled=report.cancelled,
        )
        seconds += fetched.seconds
    return seconds


def _opener(stack: ExitStack, folder: Path, context: JobContext, report: JobReport) -> Opener:
    if context.decoders is None:
        return OpensHere()
    return stack.enter_context(context.decoders.job(folder, report.cancelled))


def _matte(
    job: Job,
    folder: Path,
    context: JobContext,
    report: JobReport,
    opener: Opener,
    on_frames: Callable[[], None],
) -> MatteResult:
    def tell(progress: MatteProgress) -> None:
        on_frames()
        report.message(processing_message(progress))

    report.message("Processing (0%)")
    with context.open_model() as model:
        return matte_video(
            folder / _SOURCE_NAME,
            folder / f"result{job.output_type.suffix}",
            model,
            job.matte_options(folder),
            context.limits,
            opener=opener,
            on_progress=tell,
            cancelled=report.cancelled,
            request_id=report.request_id,
        )


@dataclass(frozen=True)
class _ResultFiles:
    """What is uploaded."""

    output_type: OutputType
    """That of the file with the role `output`."""
    paths: dict[FileRole, Path]
    note: str | None = None
    """Why the type is not the one that was asked for."""

    @property
    def uploaded(self) -> dict[FileRole, Path]:
        """All but the page, which would name files that lie elsewhere."""
        return {role: path for role, path in self.paths.items() if role is not FileRole.PAGE}


def _fitting_files(
    matted: MatteResult, store: Store, limits: Limits, report: JobReport, opener: Opener
) -> _ResultFiles:
    """The files to upload: what the store would refuse is encoded again as a smaller type."""
    files, limit = dict(matted.files), store.max_file_bytes
    largest_bytes = max(path.stat().st_size for path in files.values())
    if limit is None or largest_bytes <= limit:
        return _ResultFiles(matted.output_type, files)
    smaller_type = matted.output_type.facts.smaller_type
    if smaller_type is None:
        raise UploadError(
            f"the result has {largest_bytes} bytes, more than the {limit} that {store.name} takes "
            "(CLOUDINARY_MAX_FILE_BYTES); use a shorter or smaller video, or raise the limit if "
            "the plan allows it"
        )
    smaller = matted.path.with_suffix(smaller_type.suffix)
    options = MatteOptions(smaller_type)
    transcode(matted.path, smaller, options, limits, opener=opener, cancelled=report.cancelled)
    size = smaller.stat().st_size
    if size > limit:
        raise UploadError(
            f"the result has {largest_bytes} bytes as ProRes and {size} as WebM, more than the "
            f"{limit} that {store.name} takes (CLOUDINARY_MAX_FILE_BYTES); use a shorter or "
            "smaller video"
        )
    note = (
        f"The ProRes file has {largest_bytes} bytes, more than the {limit} that {store.name} "
        "takes, so it was encoded again as WebM with alpha."
    )
    return _ResultFiles(smaller_type, files | {FileRole.OUTPUT: smaller}, note)


def _upload(
    job: Job, files: _ResultFiles, store: Store, context: JobContext, report: JobReport
) -> dict[FileRole, UploadResult]:
    """Store the files one after the other; their names share the start."""
    name = uuid.uuid4().hex
    messages = UploadMessages(report.message, store.name, list(files.uploaded.values()))
    results = {}
    for role, path in files.uploaded.items():
        request = UploadRequest(
            path=path,
            folder=job.cloudinary_folder,
            name=name if role is FileRole.OUTPUT else f"{name}-{role.value}",
            content_type=files.output_type.content_type(role),
        )
        store_file = functools.partial(
            store.upload,
            request,
            on_progress=messages,
            cancelled=report.cancelled,
            timeout_s=context.upload_timeout_s,
        )
        try:
            results[role] = store_file()
        except UploadError:
            report.message(f"{store.name} failed; the upload is tried once more")
            # If it is set meanwhile, the upload stops at once.
            report.cancelled.wait(_UPLOAD_PAUSE_S)
            results[role] = store_file()
        messages.next_file(path)
    return results


def _output(
    stored: dict[FileRole, UploadResult],
    matted: MatteResult,
    files: _ResultFiles,
    seconds: dict[str, float],
) -> dict[str, object]:
    output: dict[str, object] = {
        **{f"{role.value}_url": result.url for role, result in stored.items()},
        "width": matted.width_pixels,
        "height": matted.height_pixels,
        "fps": round(matted.average_fps, 3),
        "duration": round(matted.duration_seconds, 3),
        "frames": matted.frames,
        "bytes": stored[FileRole.OUTPUT].bytes,
        "cuts": matted.cuts,
        "keyed_frames": matted.keyed_frames,
        "downsample_ratio": round(matted.downsample_ratio, 4),
        "model": matted.model,
        "model_version": matted.model_version,
        "pixel_layout": matted.pixel_layout,
        "video_decoder": matted.video_decoder,
        "video_encoder": matted.video_encoder,
        "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
    }
    if files.output_type.facts.format_name is not None:
        output["output_format"] = files.output_type.facts.format_name
    if FileRole.PAGE in files.paths:
        output["html"] = _video_element(stored, files.paths[FileRole.POSTER])
    if files.note is not None:
        output["note"] = files.note
    if matted.warnings:
        output["warnings"] = list(matted.warnings)
    return output


def _video_element(stored: dict[FileRole, UploadResult], poster: Path) -> str:
    roles = (FileRole.OUTPUT, FileRole.HEVC, FileRole.POSTER)
    webm, hevc, poster_url = (stored[role].url for role in roles)
    # Ours, and of the size that the videos are shown at.
    with Image.open(poster) as picture:
        return WebVideo(webm, hevc, poster_url, *picture.size).element
