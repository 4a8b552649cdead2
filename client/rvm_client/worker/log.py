"""RunPod's log, with the id of the job that speaks: several may be at work."""

import logging
from contextvars import ContextVar
from typing import Protocol

from rvm_client.config import Settings

# Of the job that the current task or thread works on.
JOB_ID: ContextVar[str | None] = ContextVar("job_id", default=None)


class Log(Protocol):
    """RunPod's logger: one JSON line with the job's id on RunPod, plain text elsewhere."""

    def info(self, message: str, request_id: str | None = None) -> None: ...
    def warn(self, message: str, request_id: str | None = None) -> None: ...
    def error(self, message: str, request_id: str | None = None) -> None: ...


def open_log(settings: Settings) -> Log:
    """RunPod's logger, which from now on gets the warnings of the stages, too."""
    from runpod.serverless.modules.rp_logger import RunPodLogger

    log = RunPodLogger()
    # Below INFO the SDK prints whole jobs and results, signed URLs included.
    log.level = "INFO" if settings.log_level in ("DEBUG", "TRACE") else settings.log_level
    typed: Log = log
    stages = logging.getLogger("rvm_client")
    stages.addHandler(_Warnings(typed))
    # Libraries of RunPod's SDK print what reaches the root logger.
    stages.propagate = False
    return typed


class _Warnings(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.warn(record.getMessage(), JOB_ID.get())
