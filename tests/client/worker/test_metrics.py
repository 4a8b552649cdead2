"""The worker's numbers, and the page that Prometheus reads."""

import asyncio
import socket
from collections.abc import Iterator

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from rvm_client import errors
from rvm_client.errors import ConfigError, RvmError
from rvm_client.matte import Credentials, RemoteServers, probe_within
from rvm_client.worker.cold_start import ColdStart
from rvm_client.worker.handler import as_request_id
from rvm_client.worker.metrics import RemoteTriton, WorkerMetrics
from rvm_client.worker.metrics_page import MetricsPage


@pytest.fixture
def metrics() -> WorkerMetrics:
    return WorkerMetrics(ColdStart())


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def samples(metrics: WorkerMetrics, name: str) -> dict[str, float]:
    """Values by the only label, or by nothing."""
    return {
        next(iter(sample.labels.values()), ""): sample.value
        for family in text_string_to_metric_families(metrics.page().decode())
        for sample in family.samples
        if sample.name == name
    }


def outcomes(metrics: WorkerMetrics) -> set[str]:
    return {word for word, count in samples(metrics, "rvm_jobs_total").items() if count}


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (errors.UsageError("x"), "refused"),
        (errors.DownloadError("x"), "input"),
        (errors.GpuMemoryError("x"), "server"),
        (errors.UploadError("x"), "output"),
        (errors.OutOfMemoryError("x"), "memory"),
        (errors.OverdueError("x"), "overdue"),
        (errors.StoppedError("x"), "cancelled"),
        (asyncio.CancelledError(), "cancelled"),
        (KeyError("secret"), "internal"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_job_that_fails_is_counted_by_whose_matter_it_is(
    metrics: WorkerMetrics, error: BaseException, word: str
) -> None:
    assert word in samples(metrics, "rvm_jobs_total")
    with pytest.raises(type(error)), metrics.job():
        raise error
    assert outcomes(metrics) == {word}


def test_no_error_of_a_job_is_internal(metrics: WorkerMetrics) -> None:
    ours = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    # The environment is checked before there are jobs, and it is not a worker that posts them.
    none_of_a_job = (RvmError, ConfigError, errors.EndpointError, errors.JobError)
    for kind in ours:
        if issubclass(kind, RvmError) and kind not in none_of_a_job:
            with pytest.raises(kind), metrics.job():
                raise kind("x")
    assert "internal" not in outcomes(metrics)


def test_a_triton_elsewhere_is_up_while_it_takes_connections(
    metrics: WorkerMetrics, listener: socket.socket
) -> None:
    assert samples(metrics, "rvm_triton_up") == {"": 0}
    url = f"127.0.0.1:{listener.getsockname()[1]}"
    probe = probe_within(1.0, Credentials())
    metrics.triton = RemoteTriton(RemoteServers((url,), probe, 0.0))
    assert samples(metrics, "rvm_triton_up") == {"": 1}
    listener.close()
    assert samples(metrics, "rvm_triton_up") == {"": 0}


def test_nothing_but_the_page_is_served(metrics: WorkerMetrics) -> None:
    with MetricsPage(metrics.page, "127.0.0.1", 0) as page:
        assert requests.get(f"{page.url}?x=1", timeout=5).ok
        assert requests.get(page.url.replace("metrics", "other"), timeout=5).status_code == 404
        assert requests.post(page.url, timeout=5).status_code == 501
        # It waits for nobody who says nothing.
        port = int(page.url.rpartition(":")[2].removesuffix("/metrics"))
        silent = socket.create_connection(("127.0.0.1", port))
        assert requests.get(page.url, timeout=5).ok
    silent.close()
    with pytest.raises(requests.ConnectionError):
        requests.get(page.url, timeout=5)


def test_a_scraper_that_goes_away_is_no_trouble(
    metrics: WorkerMetrics, capfd: pytest.CaptureFixture[str]
) -> None:
    with MetricsPage(metrics.page, "127.0.0.1", 0) as page:
        port = int(page.url.rpartition(":")[2].removesuffix("/metrics"))
        with socket.create_connection(("127.0.0.1", port)) as rude:
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            rude.sendall(b"GET /metrics HTTP/1.0\r\n\r\nmore")
        assert requests.get(page.url, timeout=5).ok
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_of_no_use_is_named(metrics: WorkerMetrics, host: str) -> None:
    with pytest.raises(ConfigError, match=rf"served at {host}:8002 \(.*RVM_METRICS_HOST"):
        MetricsPage(metrics.page, host, 8002)


def test_a_job_s_id_is_one_short_word() -> None:
    usual = "0b1f3e5c-96d4-4a6c-9a53-5b6ab6e0a5f1-u1"
    assert as_request_id(usual) == usual
    assert as_request_id("a/\u00fc \x1b[31m\n]") == "a_____31m__"
    assert len(as_request_id("x" * 5000)) == 80
