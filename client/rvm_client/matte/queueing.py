"""Where a session's requests stand in the server's queue, and what happens when it is full.

Live requests go before those of batch work. Live streams alone can fill a server, and Triton looks
at the time limit of a batch request only when none of theirs waits. So a batch session gives up a
request that has waited for long, and takes its turn among theirs.
"""

import time
from dataclasses import dataclass, replace

from rvm_client.errors import ServerBusyError
from rvm_client.matte.connection import OvertakenError, Request

_LIVE, _BATCH = 1, 2
# Seconds in the server's queue. A live frame that waits longer is of no use.
_LIVE_WAIT_S = 0.5
_BATCH_WAIT_S = 2.0
# A batch request that was refused for so long takes its turn among live ones.
_TURN_S = 1.0
# After a request that was given up, the next ones do so, too, for so long at least.
_TURNS_FOR_S = 30.0
# What takes so long, and so many times as long as the latest ones, is not at work, but waits. Each
# answer counts less with the next one.
_GIVE_UP_S = 4.0
_LONGEST_TIMES = 3.0
_FADING = 0.8
# Of the limit for a request, after which its server counts as lost.
_LIMIT_SHARE = 0.8


@dataclass(frozen=True)
class Label:
    """What the requests of a session say of themselves to the server."""

    request_id: str = ""
    """Each gets this and a number, and so stands in the server's log; empty: none."""
    is_live: bool = False
    """Whether they go before those of others that are not."""


class Queueing:
    """The requests of one session, one after the other, each sent until it is answered.

    Args:
        label: of the session.
        limit_s: how long one is sent again and again to a server that is busy.
    """

    def __init__(self, label: Label, limit_s: float) -> None:
        self._label = label
        self._limit_s = limit_s
        self._count = 0
        self._began_s = self._sent_s = self._turns_until_s = time.monotonic()
        self._longest_s: float | None = None

    def begin(self) -> None:
        """Another request than before comes next."""
        self._count += 1
        self._began_s = time.monotonic()

    def placed(self, request: Request, request_limit_s: float, *, takes_turn: bool) -> Request:
        """The request with its place in the queue, to be sent now.

        Args:
            request: what is sent.
            request_limit_s: for its answer.
            takes_turn: whether it goes among live ones, whatever it is.
        """
        self._sent_s = time.monotonic()
        prefix = self._label.request_id
        labelled = replace(request, request_id=f"{prefix}-{self._count}" if prefix else "")
        if self._label.is_live:
            return replace(labelled, priority=_LIVE, queue_timeout_s=_LIVE_WAIT_S)
        has_waited = self._sent_s - self._began_s > _TURN_S
        takes_turn = takes_turn or has_waited or self._sent_s < self._turns_until_s
        # The first one tells how long they take.
        if takes_turn or self._longest_s is None:
            return replace(labelled, priority=_LIVE)
        patience_s = min(
            _GIVE_UP_S + _LONGEST_TIMES * self._longest_s, _LIMIT_SHARE * request_limit_s
        )
        return replace(
            labelled, priority=_BATCH, queue_timeout_s=_BATCH_WAIT_S, patience_s=patience_s
        )

    def answered(self) -> None:
        """The request was done."""
        faded_s = _FADING * (self._longest_s or 0.0)
        self._longest_s = max(time.monotonic() - self._sent_s, faded_s)

    def pause_s(self, busy: ServerBusyError) -> float:
        """How long to wait before the next attempt. Raises `busy` where there is to be none."""
        now_s = time.monotonic()
        if isinstance(busy, OvertakenError):
            self._turns_until_s = now_s + _TURNS_FOR_S
        if now_s - self._began_s + busy.retry_after_s > self._limit_s:
            raise busy
        return busy.retry_after_s
