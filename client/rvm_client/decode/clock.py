"""One clock for recordings that are joined in a file."""

from fractions import Fraction
from typing import Generic, TypeVar

Time = TypeVar("Time", int, Fraction)


class JoinedClock(Generic[Time]):
    """The times of a file; where its clock starts again, they go on.

    A step back by a second or more is a new clock, a smaller one is something out of place.

    Args:
        second: a second in the unit of the times, which may be any.
        shift: what is added to the times before the first join: 0 of their type.
    """

    def __init__(self, second: int | Fraction, shift: Time) -> None:
        self._second = second
        self.shift: Time = shift
        """What is added to the file's own times now."""

    def read(self, own: Time, *, after: Time, resume: Time) -> Time:
        """The time for one of the file's own.

        Args:
            own: the file's.
            after: the time that it is to lie after.
            resume: the time of what begins with a new clock.
        """
        time = own + self.shift
        if time > after - self._second:
            return time
        self.shift += resume - time
        return resume
