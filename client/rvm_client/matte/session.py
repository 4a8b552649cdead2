"""Chunks of frames to alpha mattes and foregrounds, by a model on a Triton server.

The recurrent state belongs to the caller: a `MattingSession` carries the state of one video
from request to request, and the server keeps nothing.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from rvm_client.closing import Closing
from rvm_client.errors import ServerLostError
from rvm_client.frames import MatteChunk, Role, SourceChunk
from rvm_client.matte.transport import Transport
from rvm_client.pixels import UInt8Array
from rvm_client.stopwatch import Stopwatch

if TYPE_CHECKING:
    from rvm_client.matte.model import MattingModel


class MattingSession(Closing):
    """The matting of one video: carries the recurrent state from chunk to chunk.

    A context manager where it was made with the shape of its largest chunk.
    """

    def __init__(
        self,
        model: "MattingModel",
        open_transport: Callable[[Callable[[], bool]], Transport],
        model_version: str,
    ) -> None:
        self._model = model
        self._open_transport = open_transport
        self._stopped = threading.Event()
        self._transport = self._opened()
        self.model_version = model_version
        self.warm_up_frames = 0
        """Frames that went through the model only for its state."""

    @property
    def transport_name(self) -> str:
        """How frames go to the model: "shared memory" or "gRPC"."""
        return self._transport.name

    def close(self) -> None:
        """Give back what the session holds."""
        self._transport.close()

    def stop(self) -> None:
        """Let `matte`, in another thread, raise StoppedError rather than wait much longer."""
        self._stopped.set()

    def staged(self, chunks: Iterable[SourceChunk]) -> Iterator[SourceChunk]:
        """The same chunks, with their frames where they will be sent from."""
        for chunk in chunks:
            yield replace(chunk, src=self._transport.stage(chunk.src))

    def matte(self, chunk: SourceChunk) -> MatteChunk:
        """Matte the next T frames.

        Raises:
            InferenceError: the server refused or failed the request.
            ServerLostError: the server has gone, and its replacements too.
            StoppedError: `stop` was called.
        """
        if chunk.resets_state:
            self._transport.reset()
        fgr, pha = self._infer(chunk.src, keep=chunk.role is not Role.WARM_UP)
        return MatteChunk(fgr=fgr, pha=pha, pts=chunk.pts)

    def matte_all(self, chunks: Iterable[SourceChunk], watch: Stopwatch) -> Iterator[MatteChunk]:
        """Matte a whole video of staged chunks, in order; `watch` gets the time of the requests.

        Of chunks that are there for a warm start nothing comes out. How long a result is valid,
        MatteChunk says.
        """
        for chunk in chunks:
            with watch:
                matte = self.matte(chunk)
            if chunk.role is Role.WARM_UP:
                self.warm_up_frames += len(chunk.pts)
            else:
                yield matte

    def _infer(self, src: UInt8Array, *, keep: bool) -> tuple[UInt8Array, UInt8Array]:
        while True:
            try:
                return self._transport.infer(src, keep=keep)
            except ServerLostError as lost:
                states = self._transport.states
                self._model.recover(lost, self._stopped.is_set)
            transport = self._opened()
            # Those that the last answer left: nothing came of the request that was lost.
            transport.states = states
            self._transport = transport

    def _opened(self) -> Transport:
        while True:
            try:
                return self._open_transport(self._stopped.is_set)
            except ServerLostError as lost:
                self._model.recover(lost, self._stopped.is_set)
