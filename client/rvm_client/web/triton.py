"""The server that mattes: started while the page is there already, watched, spoken of."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rvm_client.closing import Closing
from rvm_client.config import Settings
from rvm_client.errors import RvmError, ServerError, StoppedError

if TYPE_CHECKING:
    from rvm_client.isolated import DecoderPool
    from rvm_client.matte import MattingModel
    from rvm_client.options import Limits

_POLL_S = 0.2


@dataclass(frozen=True)
class Machine:
    """What the page says of this machine."""

    state: Literal["starting", "ready", "lost", "failed"]
    sentence: str
    on_gpu: bool = False


@dataclass(frozen=True)
class Tools:
    """What work on videos needs, once it is there."""

    decoders: "DecoderPool"
    limits: "Limits"


class Workplace(Closing):
    """Triton, the processes that decode strangers' files, and the limits of this machine.

    All of it comes while the page is served already: importing it alone takes a second.

    Args:
        settings: the environment.
        on_change: called when the machine's state has changed, in any thread.
        on_ready: called once with how many jobs are done at a time.
    """

    def __init__(
        self,
        settings: Settings,
        on_change: Callable[[], None],
        on_ready: Callable[[int], None],
    ) -> None:
        self._settings = settings
        self._on_change, self._on_ready = on_change, on_ready
        self.machine = Machine("starting", "The matting server starts.")
        self._stack = ExitStack()
        self._closing = threading.Event()
        self._has_tools, self._has_server = threading.Event(), threading.Event()
        self._tools: Tools | None = None
        self._servers: Any = None
        self._thread = threading.Thread(target=self._begin, name="workplace", daemon=True)

    def start(self) -> None:
        """Begin to bring it all up."""
        self._thread.start()

    def close(self) -> None:
        """End all of it."""
        self._closing.set()
        self._stack.close()
        self._thread.join()

    def tools(self, cancelled: threading.Event) -> Tools:
        """What decoding needs, as soon as it is there.

        Raises:
            StoppedError: `cancelled` was set meanwhile.
            RvmError: it cannot be had.
        """
        self._await(self._has_tools, cancelled)
        assert self._tools is not None
        return self._tools

    def open_model(self, cancelled: threading.Event) -> "MattingModel":
        """A connection to the server, as soon as it is there; raises as `tools`."""
        from rvm_client.matte import MattingModel

        self._await(self._has_server, cancelled)
        return MattingModel.configured(self._servers, self._settings)

    def _await(self, event: threading.Event, cancelled: threading.Event) -> None:
        while not event.wait(_POLL_S):
            if cancelled.is_set() or self._closing.is_set():
                raise StoppedError("the work was cancelled")
            if self.machine.state == "failed":
                raise ServerError(self.machine.sentence)

    def _begin(self) -> None:
        try:
            self._bring_up()
        except StoppedError:
            pass
        except RvmError as exc:
            if not self._closing.is_set():
                self._say(Machine("failed", str(exc)))
        except Exception as exc:
            self._say(Machine("failed", f"the matting server cannot be used: {type(exc).__name__}"))

    def _bring_up(self) -> None:
        from rvm_client.server import ServerOptions, StartingServer

        settings, starting = self._settings, None
        if settings.triton_url is None:
            starting = self._stack.enter_context(StartingServer(ServerOptions.configured(settings)))
        # PyAV and gRPC take a while to import: meanwhile the server starts.
        from rvm_client.isolated import DecoderLimits, DecoderPool
        from rvm_client.matte import MattingModel, probe_within
        from rvm_client.options import Limits
        from rvm_client.pipeline import jobs_at_once
        from rvm_client.server import Supervisor

        limits = Limits.configured(settings)
        pool = DecoderPool(DecoderLimits.configured(settings), uses_gpu=limits.hardware.has_gpu)
        self._stack.enter_context(pool)
        self._tools = Tools(pool, limits)
        self._has_tools.set()
        supervisor = None
        if starting is None:
            self._servers = settings.triton_url
        else:
            probe = probe_within(settings.request_timeout_s)
            supervisor = self._stack.enter_context(Supervisor(starting.ready(), probe))
            self._servers = supervisor
        with MattingModel.configured(self._servers, settings) as model:
            width, on_gpu = jobs_at_once(settings, model), model.runs_on_gpu
        self._tools = Tools(pool, Limits.configured(settings, jobs_at_once=width))
        self._has_server.set()
        where = "on a GPU" if on_gpu else "on the processor"
        self._say(Machine("ready", f"Ready; videos are matted {where}.", on_gpu))
        self._on_ready(width)
        if supervisor is not None:
            supervisor.keep()

    def _say(self, machine: Machine) -> None:
        self.machine = machine
        self._on_change()
