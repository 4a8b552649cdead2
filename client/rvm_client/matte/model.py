"""The models of one Triton server, and of the next one where that is lost."""

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from rvm_client import wire
from rvm_client.closing import Closing
from rvm_client.config import Settings
from rvm_client.errors import (
    GpuLostError,
    NotServedError,
    ServerBusyError,
    ServerLostError,
    UsageError,
)
from rvm_client.matte.connection import Connection
from rvm_client.matte.endpoint import Credentials, is_on_this_machine
from rvm_client.matte.queueing import Label, Queueing
from rvm_client.matte.remote import RemoteServers
from rvm_client.matte.served import ModelAddress, find_version, models_of
from rvm_client.matte.session import ChunkSession
from rvm_client.matte.shared_region import SharedMemoryError
from rvm_client.matte.transport import (
    ChunkShape,
    GrpcTransport,
    SharedMemoryTransport,
    State,
    Transport,
    constant_inputs,
    infer_by_value,
    start_states,
)
from rvm_client.pixels import I420, RGB, PixelLayout, UInt8Array
from rvm_client.server import ServerAddress, ServerSupply
from rvm_client.wire import ModelKind, Variant

_LOG = logging.getLogger(__name__)

_LOSSES_COUNT_FOR_S = 600.0
# What a small request carries: the encoder's four steps down leave 2 pixels of it.
_PROBE_PIXELS = 32
_PROBE_I420 = I420(to_rgb=((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0)))


class MattingModel(Closing):
    """A connection to the models on one Triton server; a context manager, for one thread.

    All servers have MobileNetV3 for RGB. One may have ResNet50 beside it, and the models of either
    for YUV planes. Where the server is lost, its replacement gets the request that was lost:
    frames and states are ours.
    A session keeps the version of the model that it began with; the next one asks again.

    Args:
        server: HOST:PORT of Triton's gRPC endpoint, several of them, or where servers come from.
            Of several the first that answers is used, and the next where that is lost.
        credentials: how one comes in there.
        request_timeout_s: limit for one inference request; who misses it is lost.
        most_losses: how many servers may be lost within ten minutes before a request fails.
        reconnect_s: how long all servers at HOST:PORT may be away once one has answered.
        busy_s: how long a request is sent again while the server has as many as it takes.

    Raises:
        ServerUnreachableError: nothing that speaks Triton's protocol answers there.
        ServerError: the server has no such model, or one with another contract.
    """

    def __init__(
        self,
        server: str | Sequence[str] | ServerSupply,
        *,
        credentials: Credentials | None = None,
        request_timeout_s: float = 60.0,
        most_losses: int = 3,
        reconnect_s: float = 30.0,
        busy_s: float = 60.0,
    ) -> None:
        self._credentials = credentials or Credentials()
        self._request_timeout_s = request_timeout_s
        self._most_losses = most_losses
        self._busy_s = busy_s
        self._losses_s: deque[float] = deque()
        self._models: dict[str, ModelAddress] = {}
        if not isinstance(server, (str, Sequence)):
            self._servers = server
            try:
                self._connect(server.address)
            except ServerLostError as lost:
                self.recover(lost)
            return
        urls = [server] if isinstance(server, str) else list(server)
        self._servers = self._connected(urls, reconnect_s)

    @classmethod
    def configured(
        cls, server: str | Sequence[str] | ServerSupply, settings: Settings
    ) -> "MattingModel":
        """As the environment says."""
        return cls(
            server,
            credentials=Credentials.configured(settings),
            request_timeout_s=settings.request_timeout_s,
            most_losses=settings.server_restarts,
            reconnect_s=settings.reconnect_timeout_s,
        )

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    @property
    def connection(self) -> Connection:
        """To the server that is there now."""
        return self._connection

    @property
    def url(self) -> str:
        """HOST:PORT of the server that is there now."""
        return self._connection.url

    def has(self, variant: Variant) -> bool:
        """Whether the server had a model of the variant when it was last asked."""
        return ModelKind(variant).name in self._models

    def check_has(self, variant: Variant) -> None:
        """Raises: NotServedError: it has none."""
        self._active(ModelKind(variant))

    @property
    def version(self) -> str:
        """The version of MobileNetV3 with which a session would begin, when last asked."""
        return self.version_of(Variant.MOBILENETV3)

    def version_of(self, variant: Variant) -> str:
        """The version of a variant with which a session would begin, when last asked.

        Raises:
            NotServedError: the server has none of the variant.
        """
        return self._active(ModelKind(variant)).version

    def takes_planes(self, variant: Variant = Variant.MOBILENETV3) -> bool:
        """Whether planes are to be sent: the server has the model for them, on a GPU.

        A processor converts colours faster in the client (swscale) than in the model.
        """
        model = self._models.get(ModelKind(variant, takes_planes=True).name)
        return model is not None and model.runs_on_gpu

    @property
    def runs_on_gpu(self) -> bool:
        """Whether the server runs its models on a GPU."""
        return self._models[wire.MODEL_NAME].runs_on_gpu

    @property
    def addresses(self) -> list[ModelAddress]:
        """The models of the server that keep the wire contract."""
        return list(self._models.values())

    def probe(self, is_stopped: Callable[[], bool] = lambda: False) -> None:
        """Let each model do a small request.

        Raises:
            ServerError: one failed it.
            StoppedError: `is_stopped` said so meanwhile.
        """
        for model in self.addresses:
            layout = _PROBE_I420 if wire.MODELS[model.name].takes_planes else RGB
            shape = (1, 1, *layout.frame_shape(_PROBE_PIXELS, _PROBE_PIXELS))
            src, states = np.zeros(shape, np.uint8), start_states(model.state_dtype)
            # Who has as many requests as it takes is at work.
            with contextlib.suppress(ServerBusyError):
                infer_by_value(model, src, states, constant_inputs(1.0, layout), is_stopped)

    def session(
        self,
        downsample_ratio: float,
        largest_chunk: ChunkShape | None = None,
        layout: PixelLayout = RGB,
        variant: Variant = Variant.MOBILENETV3,
        *,
        queue_depth: int = 1,
        room_bytes: int | None = None,
        label: Label | None = None,
    ) -> ChunkSession:
        """A new video: empty recurrent state.

        With the shape of the largest chunk given, frames go through shared memory where that
        is possible, and in gRPC messages otherwise. The session is of the version that is active
        now, to its end.

        Args:
            downsample_ratio: 0 < ratio <= 1.
            largest_chunk: the most frames of a request, and their size.
            layout: of the frames; planes only where the server has the model for them.
            variant: of the network; only one that the server has.
            queue_depth: chunks that wait before the model, and results that wait behind it.
            room_bytes: the most shared memory to take; None: what there is.
            label: what its requests say of themselves.

        Raises:
            NotServedError: it has no such model.
            ServerError: the server has gone.
        """
        self._refresh()
        began_with = self._active(ModelKind(variant, takes_planes=isinstance(layout, I420)))

        def open_transport() -> Transport:
            model = self._still_served(began_with)
            if largest_chunk is not None and is_on_this_machine(self.url):
                try:
                    return SharedMemoryTransport(
                        model,
                        downsample_ratio,
                        layout,
                        largest_chunk,
                        queue_depth,
                        room_bytes,
                    )
                except SharedMemoryError as exc:
                    _LOG.warning("Frames go in gRPC messages: memory cannot be shared (%s)", exc)
            return GrpcTransport(model, downsample_ratio, layout)

        label = label or Label()
        return ChunkSession(
            self,
            open_transport,
            began_with.version,
            # Who is live has no use for what comes late.
            queueing=Queueing(label, 0.0 if label.is_live else self._busy_s),
        )

    def infer(
        self, src: UInt8Array, states: list[State], downsample_ratio: float
    ) -> tuple[UInt8Array, UInt8Array, list[State]]:
        """One request, of which nothing is sent again.

        Args:
            src: [B,T,H,W,3] RGB.
            states: r1..r4, as returned by the request before, or `start_states()`.
            downsample_ratio: 0 < ratio <= 1.

        Returns:
            fgr [B,T,H,W,3], pha [B,T,H,W,1], and the four states to send next.

        Raises:
            InferenceError: the server refused or failed the request.
            ServerLostError: the server has gone, or does no requests any more.
        """
        return infer_by_value(
            self._models[wire.MODEL_NAME], src, states, constant_inputs(downsample_ratio)
        )

    def start_states(self) -> list[State]:
        """Four zeros of shape [1,1,1,1] in the model's precision."""
        return start_states(self._models[wire.MODEL_NAME].state_dtype)

    def recover(
        self, lost: ServerLostError, is_stopped: Callable[[], bool] = lambda: False
    ) -> None:
        """Connect to the replacement of a server that was lost.

        Raises:
            ServerLostError: too many were lost.
            ServerError: there is no replacement, or it serves another model.
            StoppedError: `is_stopped` said so meanwhile.
        """
        while True:
            losses = self._count_loss()
            # A GPU that fails twice is beyond the help of a new process.
            if losses > (1 if isinstance(lost, GpuLostError) else self._most_losses):
                raise type(lost)(f"the Triton server was lost {losses} times: {lost}")
            _LOG.warning("The Triton server was lost, and its request is sent again: %s", lost)
            self.close()
            address = self._servers.replacement(self._address, is_stopped)
            try:
                self._connect(address)
                return
            except ServerLostError as again:
                lost = again

    def _refresh(self) -> None:
        """Ask which versions are active now."""
        try:
            self._models = models_of(self._connection)
        except ServerLostError as lost:
            self.recover(lost)

    def _active(self, kind: ModelKind) -> ModelAddress:
        model = self._models.get(kind.name)
        if model is None:
            layout = " --layout both" if kind.takes_planes else ""
            raise NotServedError(
                f"the Triton server at {self._connection.url} has no model {kind.name}; take "
                f"another one, or make it with rvm-export export --variant {kind.variant.value}"
                f"{layout} and start the server anew"
            )
        return model

    def _still_served(self, began_with: ModelAddress) -> ModelAddress:
        """The same version on the server that is there now: a video never mixes versions."""
        if began_with.connection is self._connection:
            return began_with
        found = find_version(self._connection, began_with.name, began_with.version)
        if found is None or found.state_dtype != began_with.state_dtype:
            raise NotServedError(
                f"the Triton server at {self._connection.url} has no version {began_with.version} "
                f"of {began_with.name} with {began_with.state_dtype} states, with which the video "
                "was begun; begin it again"
            )
        return found

    def _count_loss(self) -> int:
        now_s = time.monotonic()
        self._losses_s.append(now_s)
        while self._losses_s[0] < now_s - _LOSSES_COUNT_FOR_S:
            self._losses_s.popleft()
        return len(self._losses_s)

    def _connected(self, urls: Sequence[str], reconnect_s: float) -> ServerSupply:
        """Servers that should be there; connects to the first that is."""
        if not urls:
            raise UsageError("there is no server in the list; give one HOST:PORT at least")
        lost: ServerLostError | None = None
        for url in urls:
            try:
                self._connect(ServerAddress(url))
                break
            except ServerLostError as exc:
                lost = exc
        else:
            assert lost is not None
            raise lost
        probe = probe_within(self._request_timeout_s, self._credentials)
        return RemoteServers(urls, probe, reconnect_s)

    def _connect(self, address: ServerAddress) -> None:
        self._address = address
        self._connection = connection = Connection(
            address.url, self._request_timeout_s, self._credentials
        )
        try:
            models = models_of(connection)
        except BaseException:
            connection.close()
            raise
        self._models = models


def probe_within(
    timeout_s: float, credentials: Credentials | None = None
) -> Callable[[str, Callable[[], bool]], None]:
    """A Supervisor's probe: each model of the server does a small request, or a ServerError."""

    def probe(url: str, is_stopped: Callable[[], bool]) -> None:
        with MattingModel(url, credentials=credentials, request_timeout_s=timeout_s) as model:
            model.probe(is_stopped)

    return probe
