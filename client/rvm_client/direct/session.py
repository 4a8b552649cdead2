"""Frames to mattes, for a program that waits."""

from collections.abc import Iterable, Iterator
from typing import Any

from rvm_client.closing import Closing
from rvm_client.direct.base import BaseSession
from rvm_client.direct.matte import Matte, kept
from rvm_client.direct.scene import QUEUE_DEPTH
from rvm_client.frames import MatteChunk, Role, SourceChunk
from rvm_client.prefetch import Prefetch


class MattingSession(BaseSession, Closing):
    """The matting of one video by a Triton server, frame after frame; a context manager.

    A video needs a session of its own, since the model remembers the frames before; any number
    of sessions may be open. Use one in one thread at a time.

    On the same machine frames go through shared memory where that is possible, and in gRPC
    messages otherwise. A request that was lost with its server is sent again, to the same server
    or to another: nothing of a video is kept there.

    Args:
        server: HOST:PORT of Triton's gRPC endpoint, or a list of them: the first that answers is
            used, and the next where that is lost.
        model: the network that mattes. "resnet50" errs less and takes longer, and not every server
            has it.
        downsample_ratio: what the network sees of a frame, 0 < ratio <= 1; "auto":
            min(512 / longest side, 1).
        frames_per_request: frames that go to the server together, at least 1; None chooses by
            their size. The mattes are the same; fewer come sooner, more cost less.
        warm_start: show the model the first 12 frames of `matte`, and those after each cut, before
            they count. They come out better, and later.
        live: frames go one by one, before those of sessions that are not live, and a busy server
            is an error at once.
        token: what a server with a token file wants.
        tls: whether to encrypt. True trusts the authorities that gRPC carries, a path the PEM
            file there.
        request_id: stands in the server's log with each request.
        request_timeout_s: limit for one request; a server that misses it is lost.
        reconnect_s: how long servers may be away once one has answered.
        busy_s: how long to try again while a server has as many requests as it takes.

    Raises:
        UsageError: a value that cannot be accepted.
        ConfigError: the PEM file cannot be read.
        ServerUnreachableError: nothing that speaks Triton's protocol answers.
        NotServedError: the server has no such model.
        AccessError: the server wants a token, or another one.
        ServerError: it serves no such model.
    """

    _connects_at_once = True

    def matte(self, frames: Iterable[Any]) -> Iterator[Matte]:
        """The mattes of frames, in order, one for each.

        Frames are read, sent and given back at the same time, a few of them: memory does not grow
        with their number. `frames` is read in a thread of its own.

        A second call goes on with the same video, unless `reset` was called or the session makes
        warm starts. Who leaves the loop before its end ends the video.

        Args:
            frames: arrays [H,W,3] of uint8, RGB, 0 to 255, all of one size: an iterable or an
                array [T,H,W,3].

        Raises:
            UsageError: a frame that is none, or is of another size.
            ServerBusyError: the server has as many requests as it takes.
            ServerLostError: the server has gone, and others too.
            ServerError: it failed otherwise.
        """
        staged = self._opened.staged(frames)
        try:
            with (
                Prefetch(staged, depth=QUEUE_DEPTH, name="frames") as source,
                Prefetch(self._matted(source), depth=QUEUE_DEPTH, name="matte") as chunks,
            ):
                try:
                    for chunk in chunks:
                        yield from kept(chunk)
                except BaseException:
                    # Before the threads are joined: a server that hangs would hold us.
                    self._opened.stop()
                    raise
        except BaseException:
            self._opened.close()
            raise

    def matte_frame(self, frame: Any) -> Matte:
        """The matte of the next frame; waits for it.

        Args:
            frame: [H,W,3] of uint8, RGB, 0 to 255.

        Raises:
            UsageError: it is none, or the session makes warm starts, which need later frames.
            ServerError: as for `matte`.
        """
        chunk = self._opened.one(frame)
        (matte,) = kept(self._opened.chunks.matte(chunk))
        return matte

    def close(self) -> None:
        """End the session and its connection."""
        if self._scene is not None:
            self._scene.end()

    def _matted(self, source: Iterable[SourceChunk]) -> Iterator[MatteChunk]:
        for chunk in source:
            matte = self._opened.chunks.matte(chunk)
            if chunk.role is not Role.WARM_UP:
                yield matte
