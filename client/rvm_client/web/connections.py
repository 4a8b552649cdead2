"""Connections that say nothing do not stay open: they would keep others out."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


def impatient(timeout_s: float) -> type[H11Protocol]:
    """The protocol of connections on which the head of a request comes within `timeout_s`."""

    class Impatient(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._stop()

        def _is_between_requests(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def _watch(self) -> None:
            if not self._is_between_requests():
                self._stop()
            elif self._timer is None:
                # What comes meanwhile is part of a head, and gives it no more time.
                self._timer = self.loop.call_later(timeout_s, self._end)

        def _stop(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _end(self) -> None:
            self._timer = None
            if self._is_between_requests():
                self.transport.close()

    return Impatient
