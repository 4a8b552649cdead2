"""What mattes: a server that starts while the page is there already, and is watched then."""

import logging
import math
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from rvm_client.closing import Closing
from rvm_client.config import Settings
from rvm_client.errors import RvmError, ServerError, ServerLostError, StoppedError
from rvm_client.server import (
    Probe,
    ServerAddress,
    ServerOptions,
    ServerSupply,
    StartingServer,
    Supervisor,
    TritonServer,
)

if TYPE_CHECKING:
    from rvm_client.isolated import DecoderPool
    from rvm_client.matte import MattingModel
    from rvm_client.options import Limits

_LOG = logging.getLogger(__name__)
IsStopped = Callable[[], bool]

_POLL_S = 0.1
# A server of somebody else's that is not there is looked for so often.
_RETRY_S = 3.0


@dataclass(frozen=True)
class Machine:
    """What the page says of this machine."""

    state: Literal["starting", "ready", "lost", "failed"]
    sentence: str
    on_gpu: bool = False
    models: tuple[str, ...] = ()
    """The networks that the server has."""


@dataclass(frozen=True)
class Tools:
    """What opening strangers' files needs."""

    decoders: "DecoderPool"
    limits: "Limits"


class Workplace(Closing):
    """Triton, the processes that decode strangers' files, and the limits of this machine.

    Args:
        settings: the environment.
        on_change: called when the machine's state has changed, in any thread.
        on_known: called once with how many jobs are done at a time; 1, too, where none can be
            done, so that each says why.
    """

    def __init__(
        self, settings: Settings, on_change: Callable[[], None], on_known: Callable[[int], None]
    ) -> None:
        self._settings = settings
        self._on_change, self._on_known = on_change, on_known
        self.machine = Machine("starting", "The matting server starts; this takes a while.")
        self._before = self.machine
        self._stack = ExitStack()
        self._closing = threading.Event()
        self._tools: Tools | None = None
        self._servers: ServerSupply | None = None
        self._probe: Callable[[IsStopped], None] | None = None
        self._thread = threading.Thread(target=self._begin, name="workplace", daemon=True)

    def start(self) -> None:
        """Begin to bring it all up."""
        self._thread.start()

    def close(self) -> None:
        """End all of it."""
        self._closing.set()
        self._stack.close()
        if self._thread.ident is not None:
            self._thread.join()
        # What came up meanwhile.
        self._stack.close()

    def tools(self, cancelled: threading.Event) -> Tools:
        """What opening files needs, as soon as it is there.

        Raises:
            StoppedError: `cancelled` was set meanwhile.
            RvmError: it cannot be had.
        """
        while (tools := self._tools) is None:
            self._wait(cancelled)
        return tools

    def open_model(self, cancelled: threading.Event) -> "MattingModel":
        """A connection to the server, as soon as it is there; raises as `tools`."""
        from rvm_client.matte import MattingModel

        while (servers := self._servers) is None:
            self._wait(cancelled)
        self._await_others(cancelled, self._settings.reconnect_timeout_s)
        model = MattingModel.configured(servers, self._settings)
        self._say_ready(model)
        return model

    def _wait(self, cancelled: threading.Event) -> None:
        if cancelled.wait(_POLL_S) or self._closing.is_set():
            raise StoppedError("the work was cancelled")
        if self.machine.state == "failed":
            raise ServerError(self.machine.sentence)

    def _begin(self) -> None:
        try:
            self._bring_up()
        except RvmError as exc:
            self._fail(str(exc))
        except Exception as exc:
            _LOG.exception("The matting server cannot be used")
            self._fail(f"the matting server cannot be used ({type(exc).__name__})")

    def _fail(self, sentence: str) -> None:
        if not self._closing.is_set():
            _LOG.error("%s", sentence)
            self._say(Machine("failed", sentence))
            self._on_known(1)

    def _bring_up(self) -> None:
        starting = None
        if self._settings.triton_url is None:
            # Nothing is asked of it any more when it is stopped.
            options = replace(ServerOptions.configured(self._settings), exit_timeout_s=0)
            starting = self._stack.enter_context(StartingServer(options))
        # PyAV and gRPC take a while to import: meanwhile the server starts.
        from rvm_client.isolated import DecoderLimits, DecoderPool
        from rvm_client.matte import MattingModel
        from rvm_client.options import Limits
        from rvm_client.pipeline import jobs_at_once

        limits = Limits.configured(self._settings)
        decoder_limits = DecoderLimits.configured(self._settings)
        pool = DecoderPool(decoder_limits, uses_gpu=limits.hardware.has_gpu)
        self._tools = Tools(self._stack.enter_context(pool), limits)
        servers = self._own_server(starting) if starting else self._others_server()
        self._await_others(self._closing, math.inf)
        with MattingModel.configured(servers, self._settings) as model:
            width = jobs_at_once(self._settings, model)
            self._tools = Tools(pool, Limits.configured(self._settings, jobs_at_once=width))
            self._servers = servers
            self._say_ready(model)
        self._on_known(width)
        if isinstance(servers, Supervisor):
            servers.keep()

    def _own_server(self, starting: StartingServer) -> ServerSupply:
        from rvm_client.matte import probe_within

        probe = probe_within(self._settings.request_timeout_s)
        supervisor = _Watched(starting.ready(), probe, self._say_replaced, self._say_back)
        return self._stack.enter_context(supervisor)

    def _others_server(self) -> ServerSupply:
        from rvm_client.matte import Credentials, RemoteServers, probe_within

        settings = self._settings
        assert settings.triton_url is not None
        probe = probe_within(settings.request_timeout_s, Credentials.configured(settings))
        self._probe = partial(probe, settings.triton_url)
        return RemoteServers((settings.triton_url,), probe, settings.reconnect_timeout_s)

    def _await_others(self, cancelled: threading.Event, most_s: float) -> None:
        """Wait for a server of somebody else's, which may be away.

        Raises:
            ServerLostError: for too long.
            StoppedError: `cancelled` was set meanwhile.
        """
        deadline_s = time.monotonic() + most_s
        while self._probe is not None:
            try:
                self._probe(cancelled.is_set)
                break
            except ServerLostError as exc:
                self._say(Machine("lost", f"The matting server does not answer: {exc}"))
                if time.monotonic() > deadline_s:
                    raise
            if cancelled.wait(_RETRY_S) or self._closing.is_set():
                raise StoppedError("the work was cancelled")

    def _say_replaced(self) -> None:
        self._before = self.machine
        self._say(Machine("lost", "The matting server was lost, and is started anew."))

    def _say_back(self) -> None:
        self._say(self._before)

    def _say_ready(self, model: "MattingModel") -> None:
        from rvm_client.wire import Variant

        where = "on a GPU" if model.runs_on_gpu else "on the processor, without a GPU"
        models = tuple(variant.value for variant in Variant if model.has(variant))
        self._say(Machine("ready", f"Videos are matted {where}.", model.runs_on_gpu, models))

    def _say(self, machine: Machine) -> None:
        if machine != self.machine:
            self.machine = machine
            self._on_change()


class _Watched(Supervisor):
    """A supervisor that says when its server is lost, and when there is one again."""

    def __init__(
        self,
        server: TritonServer,
        probe: Probe,
        on_lost: Callable[[], None],
        on_back: Callable[[], None],
    ) -> None:
        super().__init__(server, probe)
        self._on_lost, self._on_back = on_lost, on_back

    def replacement(self, lost: ServerAddress, is_stopped: Callable[[], bool]) -> ServerAddress:
        """See Supervisor."""
        if lost == self.address:
            self._on_lost()
        address = super().replacement(lost, is_stopped)
        self._on_back()
        return address
