"""Chunks of frames to alpha mattes and foregrounds, by a model on a Triton server.

The recurrent state belongs to the caller: a `ChunkSession` carries the state of one video
from request to request, and the server keeps nothing.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import tritonclient.grpc as triton

from rvm_client.closing import Closing
from rvm_client.errors import ServerBusyError, ServerLostError, StoppedError
from rvm_client.frames import MatteChunk, Role, SourceChunk
from rvm_client.matte.connection import Connection, Request
from rvm_client.matte.transport import State, Transport
from rvm_client.stopwatch import Stopwatch

if TYPE_CHECKING:
    from rvm_client.matte.model import MattingModel

_LIVE, _BATCH = 1, 2
# Seconds in the server's queue. A live frame that waits longer is of no use.
_LIVE_WAIT_S = 0.5
# Live streams alone can fill a server: a batch request that has waited so long in vain takes its
# turn among theirs.
_BATCH_WAIT_S = 2.0
_TURN_S = 1.0


@dataclass(frozen=True)
class Label:
    """What the requests of a session say of themselves to the server."""

    request_id: str = ""
    """Each gets this and a number, and so stands in the server's log; empty: none."""
    is_live: bool = False
    """Whether they go before those of others that are not."""

    def on(self, request: Request, number: int, *, has_waited: bool = False) -> Request:
        """The request with it. One that has waited long enough goes before others, too."""
        request_id = f"{self.request_id}-{number}" if self.request_id else ""
        labelled = replace(request, request_id=request_id)
        if self.is_live:
            return replace(labelled, priority=_LIVE, queue_timeout_s=_LIVE_WAIT_S)
        if has_waited:
            return replace(labelled, priority=_LIVE)
        return replace(labelled, priority=_BATCH, queue_timeout_s=_BATCH_WAIT_S)


class Patience:
    """How long one request is sent again and again to a server that is busy."""

    def __init__(self, limit_s: float) -> None:
        self._began_s = time.monotonic()
        self._limit_s = limit_s

    @property
    def waited_s(self) -> float:
        """Since the first attempt."""
        return time.monotonic() - self._began_s

    def pause_s(self, busy: ServerBusyError) -> float:
        """How long to wait before the next attempt. Raises `busy` where there is to be none."""
        if self.waited_s + busy.retry_after_s > self._limit_s:
            raise busy
        return busy.retry_after_s


class ChunkSession(Closing):
    """The matting of one video: carries the recurrent state from chunk to chunk.

    A context manager where it was made with the shape of its largest chunk. `matte` does it all;
    who sends requests in another way has its parts: `begin`, `request`, then `taken`, or after an
    error `recover` and `request` again.
    """

    def __init__(
        self,
        model: "MattingModel",
        open_transport: Callable[[], Transport],
        model_version: str,
        *,
        label: Label,
        busy_s: float,
    ) -> None:
        self._model = model
        self._open_transport = open_transport
        self._label = label
        self._busy_s = busy_s
        self._stopped = threading.Event()
        self._transport = self._opened()
        self._requests = 0
        self.model_version = model_version
        self.warm_up_frames = 0
        """Frames that went through the model only for its state."""

    @property
    def transport_name(self) -> str:
        """How frames go to the model: "shared memory" or "gRPC"."""
        return self._transport.name

    @property
    def states(self) -> list[State]:
        """r1..r4 as the last answer left them: those of the frame after it; copies."""
        return self._transport.states

    def start_from(self, states: Sequence[State]) -> None:
        """Go on where `states` are from, in the model's precision."""
        self._transport.states = list(states)

    @property
    def connection(self) -> Connection:
        """To the server that is there now."""
        return self._model.connection

    def close(self) -> None:
        """Give back what the session holds."""
        self._transport.close()

    def stop(self) -> None:
        """Let `matte`, in another thread, raise StoppedError rather than wait much longer."""
        self._stopped.set()

    def staged(self, chunks: Iterable[SourceChunk]) -> Iterator[SourceChunk]:
        """The same chunks, with their frames where they will be sent from."""
        for chunk in chunks:
            yield self.stage(chunk)

    def stage(self, chunk: SourceChunk) -> SourceChunk:
        """The same chunk, with its frames where they will be sent from."""
        return replace(chunk, src=self._transport.stage(chunk.src))

    def matte(self, chunk: SourceChunk) -> MatteChunk:
        """Matte the next T frames.

        Raises:
            ServerBusyError: the server took no request for as long as we may wait.
            InferenceError: the server refused or failed the request.
            ServerLostError: the server has gone, and its replacements too.
            StoppedError: `stop` was called.
        """
        patience = self.begin(chunk)
        while True:
            try:
                answer = self.connection.infer(self.request(chunk), self._stopped.is_set)
            except ServerLostError as lost:
                self.recover(lost)
            except ServerBusyError as busy:
                if self._stopped.wait(patience.pause_s(busy)):
                    raise StoppedError("the work was stopped") from None
            else:
                return self.taken(answer, chunk)

    def matte_all(
        self, chunks: Iterable[SourceChunk], watch: Stopwatch, *, keep_source: bool = False
    ) -> Iterator[MatteChunk]:
        """Matte a whole video of staged chunks, in order; `watch` gets the time of the requests.

        Of chunks that are there for a warm start nothing comes out. How long a result is valid,
        MatteChunk says; with `keep_source` each has the source's frames, too.
        """
        starts_scene = True
        for chunk in chunks:
            starts_scene = starts_scene or chunk.resets_state
            # Where it was staged, later frames follow.
            src = chunk.src.copy() if keep_source and chunk.role is not Role.WARM_UP else None
            with watch:
                matte = self.matte(chunk)
            if chunk.role is not Role.WARM_UP:
                yield replace(matte, starts_scene=starts_scene, src=src)
                starts_scene = False

    def begin(self, chunk: SourceChunk) -> Patience:
        """Make ready for the requests of a chunk; for how long they may be refused."""
        self._requests += 1
        if chunk.resets_state:
            self._transport.reset()
        self._patience = Patience(self._busy_s)
        return self._patience

    def request(self, chunk: SourceChunk) -> Request:
        """What to send for a chunk."""
        request = self._transport.request(chunk.src)
        has_waited = self._patience.waited_s > _TURN_S
        return self._label.on(request, self._requests, has_waited=has_waited)

    def taken(self, answer: triton.InferResult, chunk: SourceChunk) -> MatteChunk:
        """The mattes of an answer, whose states the next request carries."""
        if chunk.role is Role.WARM_UP:
            self.warm_up_frames += len(chunk.pts)
        # What is not written does not take the place of what still is to be.
        fgr, pha = self._transport.take(answer, chunk.src, keep=chunk.role is Role.FRAMES)
        return MatteChunk(fgr=fgr, pha=pha, pts=chunk.pts)

    def recover(self, lost: ServerLostError) -> None:
        """Go on with another server: the states are those that the last answer left.

        Raises:
            ServerError: there is none.
            StoppedError: `stop` was called.
        """
        states = self._transport.states
        self._model.recover(lost, self._stopped.is_set)
        transport = self._opened()
        transport.states = states
        self._transport = transport

    def _opened(self) -> Transport:
        while True:
            try:
                return self._open_transport()
            except ServerLostError as lost:
                self._model.recover(lost, self._stopped.is_set)
