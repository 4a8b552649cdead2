"""One connection between the worker and a decoding process, message by message."""

import os
import pickle
import socket
from collections.abc import Sequence
from contextlib import suppress

from rvm_client.isolated.messages import MAX_REPLY_BYTES, REPLIES, Reply, Request

_MAX_REQUEST_BYTES = 64 * 1024
_MAX_DESCRIPTORS = 2


class ClosedError(Exception):
    """The other side has gone."""


def connection() -> tuple[socket.socket, socket.socket]:
    """Two ends that keep messages apart."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class WorkerEnd:
    """The worker's end: sends what it likes, and believes nothing.

    Args:
        end: of a connection.
        poll_s: how long one attempt to receive may wait.
    """

    def __init__(self, end: socket.socket, poll_s: float) -> None:
        self._end = end
        self._end.settimeout(poll_s)

    def send(self, request: Request, descriptors: Sequence[int] = ()) -> None:
        """Send a request; the descriptors stay open here.

        Raises:
            ClosedError: nobody is there, or nobody has read for long.
        """
        try:
            socket.send_fds(self._end, [pickle.dumps(request)], descriptors)
        except OSError as exc:
            raise ClosedError from exc

    def receive(self) -> Reply | None:
        """The next reply; None: not yet.

        Raises:
            ClosedError: nobody is there any more.
            ValueError: it is none.
        """
        try:
            # Descriptors that come along are closed by the kernel: there is no room for them.
            data = self._end.recv(MAX_REPLY_BYTES)
        except TimeoutError:
            return None
        except OSError as exc:
            raise ClosedError from exc
        if not data:
            raise ClosedError
        return REPLIES.validate_json(data)

    def close(self) -> None:
        """End the connection."""
        self._end.close()


class DecoderEnd:
    """The decoding process's end."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def receive(self) -> tuple[Request, list[int]]:
        """The next request and its descriptors.

        Raises:
            ClosedError: the worker wants no more.
        """
        try:
            data, descriptors, _, _ = socket.recv_fds(
                self._end, _MAX_REQUEST_BYTES, _MAX_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
            )
        except OSError as exc:
            raise ClosedError from exc
        if not data:
            raise ClosedError
        request: Request = pickle.loads(data)
        return request, descriptors

    def send(self, reply: Reply) -> None:
        """Send a reply.

        Raises:
            ClosedError: the worker wants no more.
        """
        try:
            self._end.send(reply.model_dump_json().encode())
        except OSError as exc:
            raise ClosedError from exc

    def close(self) -> None:
        """End the connection when the worker has ended it."""
        # A connection that is closed before all was read loses what was sent over it.
        with suppress(ClosedError):
            while True:
                for descriptor in self.receive()[1]:
                    os.close(descriptor)
        self._end.close()


def from_descriptor(descriptor: int) -> DecoderEnd:
    """The end that came with a request."""
    return DecoderEnd(socket.socket(fileno=descriptor))
