"""Chunks of frames to alpha mattes and foregrounds, by a model on a Triton server.

The recurrent state belongs to the caller: a `ChunkSession` carries the state of one video
from request to request, and the server keeps nothing.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import tritonclient.grpc as triton

from rvm_client.closing import Closing
from rvm_client.errors import ServerBusyError, ServerLostError, StoppedError
from rvm_client.frames import MatteChunk, Role, SourceChunk
from rvm_client.matte.connection import Connection, OvertakenError, Request
from rvm_client.matte.queueing import Queueing
from rvm_client.matte.transport import State, Transport
from rvm_client.stopwatch import Stopwatch

if TYPE_CHECKING:
    from rvm_client.matte.model import MattingModel


_LOG = logging.getLogger(__name__)


class ChunkSession(Closing):
    """The matting of one video: carries the recurrent state from chunk to chunk.

    A context manager where it was made with the shape of its largest chunk. `matte` does it all;
    who sends requests in another way has its parts: `begin`, `request`, then `taken`, or after an
    error `recover` or `refused`, and `request` again.
    """

    def __init__(
        self,
        model: "MattingModel",
        open_transport: Callable[[], Transport],
        model_version: str,
        *,
        queueing: Queueing,
    ) -> None:
        self._model = model
        self._open_transport = open_transport
        self._queueing = queueing
        self._given_up: Transport | None = None
        self._stopped = threading.Event()
        self._transport = self._opened()
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
        if self._given_up is not None:
            self._given_up.let_go()
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
        self.begin(chunk)
        while True:
            if self.has_given_up:
                self.let_go()
            try:
                answer = self.connection.infer(self.request(chunk), self._stopped.is_set)
            except ServerLostError as lost:
                self.recover(lost)
            except ServerBusyError as busy:
                if self._stopped.wait(self.refused(busy)):
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

    def begin(self, chunk: SourceChunk) -> None:
        """Make ready for the requests of a chunk."""
        if chunk.resets_state:
            self._transport.reset()
        self._queueing.begin()

    def request(self, chunk: SourceChunk) -> Request:
        """What to send for a chunk, now."""
        return self._queueing.placed(
            self._transport.request(chunk.src),
            self.connection.request_timeout_s,
            takes_turn=self.has_given_up,
        )

    @property
    def has_given_up(self) -> bool:
        """Whether there is a request that the server may still come to."""
        return self._given_up is not None

    def let_go(self) -> None:
        """Give back the memory of such a request, if the server has come to it; asks the server."""
        if self._given_up is not None and self._given_up.let_go():
            self._given_up = None

    def taken(self, answer: triton.InferResult, chunk: SourceChunk) -> MatteChunk:
        """The mattes of an answer, whose states the next request carries."""
        self._queueing.answered()
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
        self._transport.abandon()
        self._model.recover(lost, self._stopped.is_set)
        if self._given_up is not None:
            self._given_up.abandon()
            self._given_up = None
        self._go_on_from(states)

    def refused(self, busy: ServerBusyError) -> float:
        """Make ready for the next attempt; in how many seconds it may be.

        Raises:
            ServerBusyError: there is to be none.
            ServerError: the server has gone, and others too.
            StoppedError: `stop` was called.
        """
        pause_s = self._queueing.pause_s(busy)
        if isinstance(busy, OvertakenError):
            _LOG.warning("A request is sent again, among those of live streams: %s", busy)
            # The server may come to it at any time, and would write where others are read.
            self._given_up = self._transport
            self._go_on_from(self._transport.states)
        return pause_s

    def _go_on_from(self, states: list[State]) -> None:
        transport = self._opened()
        transport.states = states
        self._transport = transport

    def _opened(self) -> Transport:
        while True:
            try:
                return self._open_transport()
            except ServerLostError as lost:
                self._model.recover(lost, self._stopped.is_set)
