"""One job from its URL to its result: download -> matte -> upload, in a folder of its own."""

import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from rvm_client.download import DownloadLimits, DownloadProgress, download
from rvm_client.errors import UploadError
from rvm_client.frames import FileRole, OutputType
from rvm_client.machine import Hardware
from rvm_client.matte import MattingModel
from rvm_client.options import Limits, MatteOptions
from rvm_client.pipeline import MatteProgress, MatteResult, matte_video, transcode
from rvm_client.upload import Store, UploadProgress, UploadRequest, UploadResult, presigned_store
from rvm_client.worker.job import BACKGROUND_NAME, Job

_CONTENT_TYPES = {
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mov": "video/quicktime",
    ".zip": "application/zip",
    ".jpg": "image/jpeg",
}
_SOURCE_NAME = "source"
_OUTPUT_FORMATS = {OutputType.ALPHA: "webm", OutputType.ALPHA_PRORES: "prores"}


@dataclass(frozen=True)
class JobContext:
    """What all jobs of a worker share."""

    triton_url: str
    request_timeout_s: float
    store: Store
    download_limits: DownloadLimits
    limits: Limits
    hardware: Hardware = field(default_factory=Hardware)


@dataclass(frozen=True)
class JobReport:
    """Where one job tells how far it is, and hears that it should stop."""

    message: Callable[[str], None]
    cancelled: threading.Event


def run_job(job: Job, context: JobContext, report: JobReport) -> dict[str, object]:
    """Do one job; returns its output as users read it.

    Everything it writes lies in a temporary folder, which is gone afterwards whatever happens.

    Raises:
        RvmError: with a sentence for the user.
    """
    started_s = time.monotonic()
    store = _store(job, context)
    with tempfile.TemporaryDirectory(prefix="rvm-job-") as name:
        folder = Path(name)
        fetched_s = _fetch(job, folder, context, report)
        matted = _matte(job, folder, context, report)
        files, note = _fitting_files(matted, store, context.limits, report)
        upload_started_s = time.monotonic()
        stored = _upload(job, files, store, report)
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
        return _output(stored, matted, files, note, seconds)


def _store(job: Job, context: JobContext) -> Store:
    if job.upload_url is None:
        return context.store
    return presigned_store(
        job.upload_url,
        allow_private_addresses=context.download_limits.allow_private_addresses,
    )


def _fetch(job: Job, folder: Path, context: JobContext, report: JobReport) -> float:
    """Download what the job names; returns the seconds it took."""
    urls = {_SOURCE_NAME: job.video_url}
    if job.background_url is not None:
        urls[BACKGROUND_NAME] = job.background_url
    seconds = 0.0
    messages = _DownloadMessages(report.message)
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


def _matte(job: Job, folder: Path, context: JobContext, report: JobReport) -> MatteResult:
    report.message("Processing (0%)")
    with MattingModel(context.triton_url, request_timeout_s=context.request_timeout_s) as model:
        return matte_video(
            folder / _SOURCE_NAME,
            folder / f"result{job.output_type.suffix}",
            model,
            replace(job.matte_options(folder), limits=context.limits, hardware=context.hardware),
            on_progress=lambda progress: report.message(_processing_message(progress)),
            cancelled=report.cancelled,
        )


def _fitting_files(
    matted: MatteResult, store: Store, limits: Limits, report: JobReport
) -> tuple[dict[FileRole, Path], str | None]:
    """The files to upload: a ProRes file that the store would refuse becomes a WebM file."""
    files, limit = dict(matted.files), store.max_file_bytes
    largest_bytes = max(path.stat().st_size for path in files.values())
    if limit is None or largest_bytes <= limit:
        return files, None
    if matted.output_type is not OutputType.ALPHA_PRORES:
        raise UploadError(
            f"the result has {largest_bytes} bytes, more than the {limit} that {store.name} takes "
            "(CLOUDINARY_MAX_FILE_BYTES); use a shorter or smaller video, or raise the limit if "
            "the plan allows it"
        )
    webm = matted.path.with_suffix(OutputType.ALPHA.suffix)
    options = MatteOptions(OutputType.ALPHA, limits=limits)
    transcode(matted.path, webm, options, cancelled=report.cancelled)
    size = webm.stat().st_size
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
    return files | {FileRole.OUTPUT: webm}, note


def _upload(
    job: Job, files: dict[FileRole, Path], store: Store, report: JobReport
) -> dict[FileRole, UploadResult]:
    """Store the files one after the other; their names share the start."""
    name = uuid.uuid4().hex
    messages = _UploadMessages(report.message, store.name, list(files.values()))
    results = {}
    for role, path in files.items():
        request = UploadRequest(
            path=path,
            folder=job.cloudinary_folder,
            name=name if role is FileRole.OUTPUT else f"{name}-{role.value}",
            content_type=_CONTENT_TYPES[path.suffix],
        )
        results[role] = store.upload(request, on_progress=messages, cancelled=report.cancelled)
        messages.next_file(path)
    return results


def _output(
    stored: dict[FileRole, UploadResult],
    matted: MatteResult,
    files: dict[FileRole, Path],
    note: str | None,
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
        "downsample_ratio": round(matted.downsample_ratio, 4),
        "model_version": matted.model_version,
        "pixel_layout": matted.pixel_layout,
        "video_decoder": matted.video_decoder,
        "video_encoder": matted.video_encoder,
        "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
    }
    if matted.output_type in _OUTPUT_FORMATS:
        as_webm = files[FileRole.OUTPUT].suffix == OutputType.ALPHA.suffix
        output["output_format"] = "webm" if as_webm else _OUTPUT_FORMATS[matted.output_type]
    if note is not None:
        output["note"] = note
    if matted.warnings:
        output["warnings"] = list(matted.warnings)
    return output


class _UploadMessages:
    """Upload progress in words, over all files of the result."""

    def __init__(self, message: Callable[[str], None], store: str, files: list[Path]) -> None:
        self._message = message
        self._store = store
        self._total_bytes = sum(path.stat().st_size for path in files)
        self._before_bytes = 0

    def __call__(self, progress: UploadProgress) -> None:
        sent_bytes = self._before_bytes + progress.sent_bytes
        percent = 100 * sent_bytes // max(1, self._total_bytes)
        self._message(f"Uploading to {self._store} ({percent}%)")

    def next_file(self, path: Path) -> None:
        self._before_bytes += path.stat().st_size


class _DownloadMessages:
    """Download progress in words; a download that starts again does not go back."""

    def __init__(self, message: Callable[[str], None]) -> None:
        self._message = message
        self._most_bytes = -1
        message("Downloading (0%)")

    def __call__(self, progress: DownloadProgress) -> None:
        if progress.received_bytes <= self._most_bytes:
            return
        self._most_bytes = progress.received_bytes
        if progress.total_bytes:
            percent = min(100, 100 * progress.received_bytes // progress.total_bytes)
            self._message(f"Downloading ({percent}%)")
        else:
            self._message(f"Downloading ({progress.received_bytes / 1e6:.1f} MB)")


def _processing_message(progress: MatteProgress) -> str:
    if progress.frames_expected is None:
        return f"Processing ({progress.frames_done} frames)"
    percent = min(100, 100 * progress.frames_done // progress.frames_expected)
    return f"Processing ({percent}%)"
