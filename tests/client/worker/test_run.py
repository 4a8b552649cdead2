"""What one job may take, without a Triton server: none of these jobs gets that far."""

import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support import http_faults as faults
from tests.support.http_faults import FaultyServer

from rvm_client.config import Settings
from rvm_client.download import DownloadLimits
from rvm_client.errors import OverdueError, StoppedError
from rvm_client.job import parse_job
from rvm_client.matte import MattingModel
from rvm_client.options import Limits
from rvm_client.upload import choose_store
from rvm_client.worker.run import JobContext, JobReport, run_job


def context(folder: Path, **changes: Any) -> JobContext:
    values: dict[str, Any] = {
        "open_model": partial(MattingModel, "127.0.0.1:9"),
        "store": choose_store(Settings(upload_folder=folder)),
        "download_limits": DownloadLimits(allow_private_addresses=True),
        "limits": Limits(),
        "upload_timeout_s": 10.0,
        "job_timeout_s": 60.0,
    }
    return JobContext(**{**values, **changes})


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_a_job_ends_with_its_limit(tmp_path: Path, temporary: Path) -> None:
    with FaultyServer() as server:
        server.answers(faults.silent())
        job = parse_job({"video_url": server.url()})
        report = JobReport(lambda _: None, threading.Event())
        with pytest.raises(OverdueError, match=r"limit of 0\.5 s \(RVM_JOB_TIMEOUT_S\)"):
            run_job(job, context(tmp_path, job_timeout_s=0.5), report)
    assert list(temporary.iterdir()) == []


def test_a_job_that_is_told_to_stop_is_not_overdue(tmp_path: Path, temporary: Path) -> None:
    report = JobReport(lambda _: None, threading.Event())
    with FaultyServer() as server:
        server.answers(faults.silent())

        def stop() -> None:
            server.arrived.wait(30)
            report.cancelled.set()

        stopping = threading.Thread(target=stop)
        stopping.start()
        with pytest.raises(StoppedError):
            run_job(parse_job({"video_url": server.url()}), context(tmp_path), report)
        stopping.join()
    assert list(temporary.iterdir()) == []
