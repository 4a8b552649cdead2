"""Starts, watches and stops a Triton server on this machine.

    with TritonServer.start(ServerOptions(model_repository=Path("model_repository"))) as server:
        ...  # requests to server.grpc_url

Between us and `tritonserver` stands a small process, the guard. It ends the server and
removes its shared memory however our process ends, a SIGKILL included.
"""

import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from rvm_client.closing import Closing
from rvm_client.errors import ServerLostError, ServerStartError
from rvm_client.owned import OwnedFolder
from rvm_client.server import guard
from rvm_client.server.access import AccessKey, http_token_header, warn_of_strangers
from rvm_client.server.bucket_copy import bring_up_to_date
from rvm_client.server.command import server_arguments, server_command
from rvm_client.server.environment import server_environment
from rvm_client.server.install import TritonInstall, find_triton
from rvm_client.server.log import (
    LogFollower,
    explain,
    has_crashed,
    is_port_conflict,
    models_load_seconds,
    read_tail,
)
from rvm_client.server.options import (
    Ports,
    ServerOptions,
    check_model_repository,
    check_ports,
    choose_ports,
    client_host,
    url_host,
)

__all__ = ["ServerOptions", "TritonServer"]

START_ATTEMPTS = 5
# Connections, shared memory, libraries; some 100 were seen.
DESCRIPTORS = 256
POLL_INTERVAL_S = 0.05
HTTP_TIMEOUT_S = 2.0
GUARD_MARGIN_S = 5.0


class TritonServer(Closing):
    """A running Triton server. A context manager that stops it at the end."""

    def __init__(self, options: ServerOptions, install: TritonInstall, ports: Ports) -> None:
        """Start the process; use `TritonServer.start`, which also waits until it is ready."""
        self.options = options
        self.ports = ports
        self._follower: LogFollower | None = None
        self._stop_lock = threading.Lock()
        self._owned = OwnedFolder("rvm-server", remove=guard.remove_traces)
        self._folder = self._owned.path
        self.name = self._folder.name
        self._log = self._folder / "server.log"
        self._key = AccessKey.needed(options, ports.grpc)
        try:
            self._guard = self._start_guard(install)
            self.pid = self._read_pid()
            if options.log_stream is not None:
                self._follower = LogFollower(self._log, options.log_stream)
        except BaseException:
            if self._key is not None:
                self._key.close()
            self._owned.close()
            raise

    @classmethod
    def start(
        cls, options: ServerOptions, is_abandoned: Callable[[], bool] = lambda: False
    ) -> "TritonServer":
        """Start a server and wait until it is ready to infer.

        Args:
            options: what is started.
            is_abandoned: whether nobody waits for the server any more.

        Raises:
            ConfigError: no server is installed, or the model repository has no model.
            ServerStartError: it ended, was not ready within `ready_timeout_s`, or was abandoned;
                a bucket with its model repository cannot be read.
        """
        if options.source is not None:
            bring_up_to_date(options.source, is_abandoned, options.ready_timeout_s)
            # Started anew, it serves the versions that it served: videos name theirs.
            options = replace(options, source=None)
        check_model_repository(options.model_repository, options.model_name)
        _allow_descriptors()
        check_ports(options)
        warn_of_strangers(options)
        install = find_triton(options.tritonserver, options.cache_dir)
        attempt = 0
        while True:
            attempt += 1
            try:
                return cls._start_once(options, install, is_abandoned)
            except PortTakenError:
                # Another program may take a free port before the server does.
                if attempt == START_ATTEMPTS:
                    raise
            except CrashedError:
                if attempt > 1:
                    raise

    @classmethod
    def _start_once(
        cls, options: ServerOptions, install: TritonInstall, is_abandoned: Callable[[], bool]
    ) -> "TritonServer":
        server = cls(options, install, choose_ports(options))
        try:
            server.wait_ready(is_abandoned)
        except BaseException:
            server.stop(at_once=True)
            raise
        return server

    @property
    def grpc_url(self) -> str:
        """Where a client on this machine finds gRPC, as tritonclient wants it: host:port."""
        return f"{url_host(self.options.host)}:{self.ports.grpc}"

    @property
    def http_url(self) -> str:
        """Where a client on this machine finds HTTP: host:port."""
        return f"{url_host(self.options.http_host)}:{self.ports.http}"

    @property
    def metrics_url(self) -> str:
        """Where Prometheus finds the metrics, below /metrics: host:port."""
        return f"{url_host(self.options.metrics_host)}:{self.ports.metrics}"

    @property
    def segment_prefix(self) -> str:
        """What the names of the server's own segments in /dev/shm start with."""
        return f"{self.name}-"

    def wait_ready(self, is_abandoned: Callable[[], bool] = lambda: False) -> None:
        """Wait until the model can be asked, at most `ready_timeout_s`.

        Raises:
            ServerStartError: it ended, the time is over, or `is_abandoned` said so.
        """
        deadline = time.monotonic() + self.options.ready_timeout_s
        while not self._is_ready():
            if self.poll() is not None:
                raise self._start_error()
            if is_abandoned():
                raise ServerStartError("the start of the Triton server was given up")
            if time.monotonic() > deadline:
                raise ServerStartError(
                    f"the Triton server was not ready within {self.options.ready_timeout_s:g} s: "
                    f"{explain(read_tail(self._log))}"
                )
            time.sleep(POLL_INTERVAL_S)

    def models_load_seconds(self) -> float | None:
        """What loading all models took, with the warm-up of their configurations, by its log."""
        return models_load_seconds(read_tail(self._log))

    def poll(self) -> int | None:
        """The exit status, 128 + the signal if one ended it; None while the server runs."""
        return self._guard.poll()

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait for the server's end. Returns `poll()`."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._guard.wait(timeout_s)
        return self.poll()

    def check_alive(self) -> None:
        """Make sure that the server runs.

        Raises:
            ServerLostError: it ended; the message says why, as far as its log does.
        """
        status = self.poll()
        if status is not None:
            raise ServerLostError(
                f"the Triton server ended ({describe_status(status)}): "
                f"{explain(read_tail(self._log))}"
            )

    def stop(self, *, at_once: bool = False) -> None:
        """End the server and remove all that it made. May be called again, from any thread.

        Args:
            at_once: kill it, as with an `exit_timeout_s` of 0; otherwise requests in flight may
                take that long to finish.
        """
        if at_once or not self.options.exit_timeout_s:
            self._order("kill")
        with self._stop_lock:
            self._order("stop")
            try:
                self._guard.wait(GUARD_MARGIN_S + (0 if at_once else self.options.exit_timeout_s))
            except BaseException as exc:
                self._order("kill")
                self._force_end()
                if not isinstance(exc, subprocess.TimeoutExpired):
                    raise
            finally:
                self._clean_up()

    def close(self) -> None:
        """`stop`, as leaving the context does it."""
        self.stop()

    def _start_guard(self, install: TritonInstall) -> "subprocess.Popen[bytes]":
        environment = server_environment(self.options.environment, install, self.options.threads)
        command = [
            *server_command(install, environment),
            *server_arguments(self.options, install, self.ports, self.name, self.segment_prefix),
            *(self._key.arguments if self._key is not None else ()),
        ]
        limit_s = str(self.options.exit_timeout_s + GUARD_MARGIN_S / 2)
        program = [sys.executable, "-I", "-S", guard.__file__]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [*program, limit_s, self.segment_prefix, str(self._folder), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                cwd="/",
                # Ctrl-C goes to a whole session; only we decide when the server ends.
                start_new_session=True,
                # The folder is owned until guard and server are gone, too.
                pass_fds=[self._owned.descriptor],
            )

    def _read_pid(self) -> int:
        assert self._guard.stdout is not None
        line = self._guard.stdout.readline()
        if not line:
            self._guard.wait()
            raise self._start_error()
        return int(line)

    def _is_ready(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            connection = http.client.HTTPConnection(self.http_url, timeout=HTTP_TIMEOUT_S)
            with contextlib.closing(connection):
                connection.request("GET", "/v2", headers=http_token_header(self.options.token))
                # Another server may have been faster at this port: it has another name.
                if json.loads(connection.getresponse().read()).get("name") != self.name:
                    return False
                connection.request("GET", "/v2/health/ready")
                if connection.getresponse().status != http.HTTPStatus.OK:
                    return False
            listener = (client_host(self.options.host), self.ports.grpc)
            socket.create_connection(listener, timeout=HTTP_TIMEOUT_S).close()
            return True
        return False

    def _start_error(self) -> ServerStartError:
        log = read_tail(self._log)
        error = ServerStartError
        if is_port_conflict(log):
            error = PortTakenError
        elif has_crashed(log):
            error = CrashedError
        return error(f"the Triton server did not start: {explain(log)}")

    def _order(self, word: str) -> None:
        assert self._guard.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self._guard.stdin.write(f"{word}\n".encode())
            self._guard.stdin.flush()

    def _force_end(self) -> None:
        """For a guard that no longer answers: end the server and the guard ourselves."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._guard.wait(GUARD_MARGIN_S)
            return
        self._guard.kill()
        self._guard.wait()

    def _clean_up(self) -> None:
        if self._guard.returncode is not None and self._guard.returncode < 0:
            # The guard itself was killed, so it has not cleaned up.
            kill_group(self.pid)
            guard.remove_traces(self._folder)
        if self._follower is not None:
            self._follower.close()
        if self._key is not None:
            self._key.close()
        for pipe in (self._guard.stdin, self._guard.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
        self._owned.close()


def _allow_descriptors() -> None:
    """Let this process and the server open as many files as they need, where that is allowed.

    Raises:
        ServerStartError: it is not: without them a server hangs at its start, and says nothing.
    """
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed >= DESCRIPTORS:
        return
    if most < DESCRIPTORS:
        raise ServerStartError(
            f"this process may open {most} files, and a Triton server needs {DESCRIPTORS}; raise "
            "the limit, as with: ulimit -n 1024"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, most))


class PortTakenError(ServerStartError):
    """Another program has one of the server's ports."""


class CrashedError(ServerStartError):
    """It ended without a reason of its own, which another try may not do."""


def kill_group(group: int) -> None:
    """Kill a process group that is not ours and wait, within bounds, until it is gone."""
    deadline = time.monotonic() + GUARD_MARGIN_S
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(group, signal.SIGKILL)
            time.sleep(POLL_INTERVAL_S)


def describe_status(status: int) -> str:
    """An exit status in words."""
    if status == 128 + signal.SIGKILL:
        return "killed by SIGKILL, which is often for want of memory"
    if status < 0 or status > 128:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-status if status < 0 else status - 128).name}"
    return f"exit status {status}"
