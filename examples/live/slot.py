"""Where the newest frame waits for the model: room for one, and the counts of all."""

import threading
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

UInt8Array = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Frame:
    """A picture of the source."""

    picture: UInt8Array
    """[H,W,3] RGB."""
    captured_s: float
    """When the source gave it, on the clock of `time.monotonic`."""


@dataclass(frozen=True)
class Counts:
    """What became of the frames: captured = matted + dropped + waiting + at_work."""

    captured: int = 0
    matted: int = 0
    dropped: int = 0
    waiting: int = 0
    """0 or 1, as is the next one."""
    at_work: int = 0


class Slot:
    """The newest frame takes the place of one that nobody took. Frames never queue."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._captured = self._matted = self._dropped = self._at_work = 0
        self._end: BaseException | bool = False

    def put(self, frame: Frame) -> None:
        """Called by the source; never waits."""
        with self._changed:
            self._captured += 1
            self._dropped += self._frame is not None
            self._frame = frame
            self._changed.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """There will be no more frames, because of `error` where one is given."""
        with self._changed:
            self._end = error or True
            self._changed.notify_all()

    def take(self, timeout_s: float) -> Frame | None:
        """The newest frame; None where none came in time.

        Raises:
            EOFError: there will be no more.
            Exception: what ended the source.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None or self._end, timeout_s)
            frame, self._frame = self._frame, None
            if frame is not None:
                self._at_work = 1
                return frame
            if isinstance(self._end, BaseException):
                raise self._end
            if self._end:
                raise EOFError
            return None

    def done(self, *, is_matted: bool) -> None:
        """The frame that was taken was matted; or it was not, and is dropped."""
        with self._changed:
            self._at_work = 0
            self._matted += is_matted
            self._dropped += not is_matted

    @property
    def counts(self) -> Counts:
        """All at one moment."""
        with self._changed:
            waiting = int(self._frame is not None)
            return Counts(self._captured, self._matted, self._dropped, waiting, self._at_work)
