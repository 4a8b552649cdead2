"""What comes out of decodings of one file that take over from each other."""

from collections.abc import Iterator

import av
import pytest

from rvm_client.decode.given_frames import GivenFrames

Times = list[int | None]


def timed_frames(times: Times) -> Iterator[av.VideoFrame]:
    for pts in times:
        frame = av.VideoFrame(16, 16, "yuv420p")
        frame.pts = pts
        yield frame


def times_given(*decodings: Times) -> list[Times]:
    """The times that come out of each decoding; whoever gets a frame overwrites its time."""
    given, times = GivenFrames(), []
    for decoding in decodings:
        times.append(Times())
        for frame in given.only_new(timed_frames(decoding)):
            times[-1].append(frame.pts)
            frame.pts = 77
    return times


@pytest.mark.parametrize(
    ("first", "again", "rest"),
    [
        ([], [0, 1, 2], [0, 1, 2]),
        ([0, 1, 2], [0, 1, 2], []),
        ([0, 1, 2], [0, 1, 2, 3, 4], [3, 4]),
        # Damage: the second decoder leaves one out, or shows one more.
        ([0, 1, 2, 3], [0, 2, 3, 4, 5], [4, 5]),
        ([0, 1, 2, 3], [0, 1, 2, 4, 5], [4, 5]),
        ([0, 1, 3], [0, 1, 2, 3, 4, 5], [4, 5]),
        # The clock starts again where the first decoder gave up.
        ([7, 8, 9], [7, 8, 9, 0, 1, 2], [0, 1, 2]),
        # Times that say nothing: by number.
        ([None, None], [None, None, None], [None]),
        ([5, 5, 6], [5, 5, 6, 7], [7]),
        ([8, 9, 0, 1], [8, 9, 0, 1, 2], [2]),
    ],
)
def test_no_frame_comes_out_twice_or_is_lost(first: Times, again: Times, rest: Times) -> None:
    assert times_given(first, again) == [first, rest]


@pytest.mark.parametrize(
    ("decodings", "given"),
    [
        ([[0, 1], [0, 1, 2, 3], [0, 1, 2, 3, 4]], [[0, 1], [2, 3], [4]]),
        # The second gives up before it comes as far as the first, or at once.
        ([[0, 1, 2], [0, 1], [0, 1, 2, 3]], [[0, 1, 2], [], [3]]),
        ([[None, None], [], [None, None, None]], [[None, None], [], [None]]),
        # Numbers are those of the decoding that came farthest: here it saw one frame more.
        ([[0, 2], [0, 1, 2, 3, 0, 1], [0, 1, 2, 3, 0, 1, 2]], [[0, 2], [3, 0, 1], [2]]),
    ],
)
def test_a_third_decoding_goes_on_where_the_second_came_to(
    decodings: list[Times], given: list[Times]
) -> None:
    assert times_given(*decodings) == given
