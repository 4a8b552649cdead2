from fractions import Fraction

import pytest

from rvm_client.decode import JoinedClock


@pytest.mark.parametrize(
    ("own", "times"),
    [
        ([0, 10, 500, 490], [0, 10, 500, 490]),
        # A second and more back: the clock started again, and goes on 40 after the last one.
        ([5000, 5040, 4040, 4080], [5000, 5040, 5080, 5120]),
        ([5000, 5040, 0, 40, 100], [5000, 5040, 5080, 5120, 5180]),
        # Less is something out of place, and no business of a clock.
        ([5000, 5040, 4041, 5080], [5000, 5040, 4041, 5080]),
        ([2000, 0, 40, 3000, 1000], [2000, 2040, 2080, 5040, 5080]),
    ],
)
def test_a_clock_that_starts_again_goes_on(own: list[int], times: list[int]) -> None:
    in_milliseconds, in_seconds = JoinedClock(1000, 0), JoinedClock(1, Fraction(0))
    last = own[0]
    for time, expected in zip(own, times, strict=True):
        assert in_milliseconds.read(time, after=last, resume=last + 40) == expected
        after, resume = Fraction(last, 1000), Fraction(last + 40, 1000)
        seconds = in_seconds.read(Fraction(time, 1000), after=after, resume=resume)
        assert seconds == Fraction(expected, 1000)
        last = expected
