"""What the worker tells Prometheus, of itself and of the Triton that does its requests.

No label carries anything of a job: what it is about is in the log, under its id.
"""

import asyncio
import http.client
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from typing import Any, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

import rvm_client
from rvm_client.errors import (
    InputError,
    OutOfMemoryError,
    OutputError,
    OverdueError,
    ServerError,
    StoppedError,
    UsageError,
)
from rvm_client.server import ServerSupply, Supervisor
from rvm_client.worker.cold_start import ColdStart

STAGES = ("download", "decode", "matte", "encode", "upload")
# How a job may end, if not well.
_FAILURES: tuple[tuple[type[BaseException], str], ...] = (
    (UsageError, "refused"),
    (InputError, "input"),
    (ServerError, "server"),
    (OutputError, "output"),
    (OutOfMemoryError, "memory"),
    (OverdueError, "overdue"),
    (StoppedError, "cancelled"),
    (asyncio.CancelledError, "cancelled"),
)
_DONE, _INTERNAL = "done", "internal"
_OUTCOMES = dict.fromkeys((_DONE, *(word for _, word in _FAILURES), _INTERNAL))
_JOB_SECONDS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600)
# Prometheus gives a scrape 10 s, if it is told nothing else.
_TRITON_TIMEOUT_S = 2.0


class Triton(Protocol):
    """The Triton of a worker, as its metrics see it."""

    @property
    def restarts(self) -> int:
        """How often it was started anew."""

    def read(self) -> bytes | None:
        """Its own metrics, as it writes them; None where it does not answer."""


class OwnTriton:
    """The one that the worker keeps."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    @property
    def restarts(self) -> int:
        """See Triton."""
        return self._supervisor.address.generation

    def read(self) -> bytes | None:
        """See Triton."""
        url = self._supervisor.server.metrics_url
        with (
            suppress(OSError, http.client.HTTPException),
            closing(http.client.HTTPConnection(url, timeout=_TRITON_TIMEOUT_S)) as connection,
        ):
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            text = answer.read()
            if answer.status == http.HTTPStatus.OK:
                return text
        return None


class RemoteTriton:
    """One that somebody else keeps: where its metrics are is not known."""

    restarts = 0

    def __init__(self, servers: ServerSupply) -> None:
        self._servers = servers

    def read(self) -> bytes | None:
        """See Triton. Nothing, where it takes connections."""
        host, _, port = self._servers.address.url.rpartition(":")
        with suppress(OSError, ValueError):
            socket.create_connection((host.strip("[]"), int(port)), _TRITON_TIMEOUT_S).close()
            return b""
        return None


class WorkerMetrics:
    """The numbers of one worker, counted from its start. For several threads.

    Args:
        cold_start: what the beginning took, as far as it is over.
    """

    def __init__(self, cold_start: ColdStart) -> None:
        # The time at which each series began; Prometheus needs none of them.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.triton: Triton | None = None
        """None: it is not there yet."""
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Info("rvm_build", "The worker's version.", registry=registry).info(
            {"version": rvm_client.__version__}
        )
        self._jobs = Counter("rvm_jobs", "Jobs that ended.", ["outcome"], registry=registry)
        self._seconds = Histogram(
            "rvm_job_seconds",
            "Seconds from a job's start to its result, of those that were done.",
            buckets=_JOB_SECONDS,
            registry=registry,
        )
        self._stage_seconds = Counter(
            "rvm_stage_seconds",
            "Seconds that each stage was at work, of jobs that were done; stages overlap.",
            ["stage"],
            registry=registry,
        )
        self._frames = Counter("rvm_frames", "Frames of results.", registry=registry)
        self.jobs_in_progress = Gauge(
            "rvm_jobs_in_progress", "Jobs that are at work.", registry=registry
        )
        self.jobs_waiting = Gauge(
            "rvm_jobs_waiting",
            "Jobs that the worker has taken and not begun; RunPod's queue is not among them.",
            registry=registry,
        )
        self._triton_up = Gauge(
            "rvm_triton_up",
            "Whether Triton answered when the page was asked for.",
            registry=registry,
        )
        registry.register(_Readings(self, cold_start))
        # A rate needs a value from before the first event.
        for outcome in _OUTCOMES:
            self._jobs.labels(outcome)
        for stage in STAGES:
            self._stage_seconds.labels(stage)

    @contextmanager
    def job(self) -> Iterator[None]:
        """Count a job, which ends with the context, by how it ends."""
        try:
            yield
        except BaseException as exc:
            self._jobs.labels(_outcome(exc)).inc()
            raise
        self._jobs.labels(_DONE).inc()

    def note_result(self, output: Mapping[str, Any]) -> None:
        """Add what a job's output, as users read it, says of its work."""
        seconds = output["seconds"]
        self._seconds.observe(seconds["total"])
        for stage in STAGES:
            self._stage_seconds.labels(stage).inc(seconds[stage])
        self._frames.inc(output["frames"])

    def page(self) -> bytes:
        """All of it in Prometheus' text format, with Triton's own behind it."""
        of_triton = self.triton.read() if self.triton is not None else None
        self._triton_up.set(of_triton is not None)
        return generate_latest(self._registry) + (of_triton or b"")


class _Readings(Collector):
    """What others count."""

    def __init__(self, metrics: WorkerMetrics, cold_start: ColdStart) -> None:
        self._metrics = metrics
        self._cold_start = cold_start

    def collect(self) -> Iterator[Metric]:
        """The families, as of now."""
        triton = self._metrics.triton
        yield CounterMetricFamily(
            "rvm_server_restarts",
            "How often the worker's Triton was started anew.",
            value=0 if triton is None else triton.restarts,
        )
        parts = GaugeMetricFamily(
            "rvm_cold_start_seconds",
            "Parts of the time to the first frame of the first job.",
            labels=["part"],
        )
        for part, seconds in self._cold_start.parts.items():
            parts.add_metric([part], seconds)
        yield parts


def _outcome(exc: BaseException) -> str:
    return next((word for kind, word in _FAILURES if isinstance(exc, kind)), _INTERNAL)
