from fractions import Fraction
from pathlib import Path

import pytest
from tests.support.clips import index_frame, read_index, write_clip

from rvm_client.decode import VideoReader
from rvm_client.errors import InputError, UsageError
from rvm_client.frames import Role
from rvm_client.options import MatteOptions

FRAMES = 90
OFFSET_SECONDS = {".mp4": 0, ".mkv": 2, ".ts": 2}


@pytest.fixture(scope="module", params=OFFSET_SECONDS)
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds at 30 fps with B-frames; in some containers the clock starts at 2 s."""
    offset = OFFSET_SECONDS[request.param] * 30_000
    return write_clip(
        tmp_path_factory.mktemp("clips") / f"clip{request.param}",
        [index_frame(i) for i in range(FRAMES)],
        pts=[offset + 1000 * i for i in range(FRAMES)],
        options={"preset": "medium", "bf": "3", "g": "25"},
    )


def read(path: Path, options: MatteOptions) -> tuple[dict[Role, list[int]], list[Fraction]]:
    """The indices by role, and the times of those that count."""
    indices: dict[Role, list[int]] = {role: [] for role in Role}
    times = []
    with VideoReader(path, options) as reader:
        for chunk in reader.chunks(8):
            indices[chunk.role] += [read_index(picture) for picture in chunk.src]
            if chunk.role is Role.FRAMES:
                times += [pts * reader.info.time_base for pts in chunk.pts]
            else:
                assert max(chunk.pts) < 0
    return indices, times


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        (1.0, 2.0, 30, 59),
        (0.1, 0.2, 3, 5),
        (0.34, 0.36, None, None),
        (2.5, None, 75, 89),
        (2.9, 100.0, 87, 89),
        (1.02, 1.04, 31, 31),
    ],
)
def test_exactly_the_frames_from_start_to_end(
    clip: Path, start: float, end: float | None, first: int | None, last: int | None
) -> None:
    options = MatteOptions(start_seconds=start, end_seconds=end)
    if first is None or last is None:
        with pytest.raises(InputError, match=r"no frame from 0\.34 s to 0\.36 s"):
            VideoReader(clip, options)
        return
    indices, times = read(clip, options)
    assert indices[Role.FRAMES] == list(range(first, last + 1))
    assert indices[Role.WARM_UP] == list(range(max(0, first - 15), first))
    expected = [i / 30 for i in range(last - first + 1)]
    assert times[0] == 0
    assert [float(time) for time in times] == pytest.approx(expected, abs=0.0011)


def test_a_file_without_timestamps_or_index(tmp_path: Path) -> None:
    frames, tick = [index_frame(i) for i in range(60)], Fraction(1, 25)
    clip = write_clip(tmp_path / "clip.h264", frames, time_base=tick, rate=1 / tick)
    indices, times = read(clip, MatteOptions(start_seconds=1, end_seconds=2))
    assert indices[Role.WARM_UP] == list(range(10, 25))
    assert indices[Role.FRAMES] == list(range(25, 50))
    assert times == [i * tick for i in range(25)]


def test_without_warm_start_no_frame_leads(clip: Path) -> None:
    indices, _ = read(clip, MatteOptions(start_seconds=2, warm_start=False))
    assert indices[Role.WARM_UP] == []
    assert indices[Role.FRAMES] == list(range(60, 90))


def test_an_end_alone_leaves_the_clock_as_it_is(clip: Path) -> None:
    indices, times = read(clip, MatteOptions(end_seconds=0.5))
    assert indices[Role.FRAMES] == list(range(15))
    assert indices[Role.WARM_UP] == []
    with VideoReader(clip) as whole:
        assert times[0] == whole.info.first_pts * whole.info.time_base


def test_the_origin_says_which_time_of_the_file_became_zero(clip: Path) -> None:
    with VideoReader(clip) as whole:
        file_start = whole.info.first_pts * whole.info.time_base
    with VideoReader(clip, MatteOptions(start_seconds=1.0)) as reader:
        assert reader.info.first_pts == 0
        assert reader.info.origin_seconds == file_start + 1


def test_the_description_is_that_of_the_part(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [index_frame(i) for i in range(FRAMES)])
    with VideoReader(clip, MatteOptions(start_seconds=1.0, end_seconds=1.5)) as reader:
        assert reader.info.duration_seconds == pytest.approx(0.5)
        assert reader.info.frame_count_from_header == 15


def test_a_start_beyond_the_end_is_refused(clip: Path) -> None:
    with pytest.raises(InputError, match=r"the start is 9 s.*ends after 3\.\d+ s"):
        VideoReader(clip, MatteOptions(start_seconds=9))


def test_a_part_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(UsageError, match="start_seconds"):
        MatteOptions(start_seconds=2, end_seconds=1)
