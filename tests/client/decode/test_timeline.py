import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from tests.support.clips import index_frame, read_index, retimed, write_clip

from rvm_client.decode import VideoReader
from rvm_client.decode.timeline import Timeline

B_FRAMES = {"preset": "medium", "bf": "3", "g": "12"}


def read(path: Path) -> tuple[list[int], list[Fraction]]:
    """The index of each frame that comes out, and its time in seconds."""
    with VideoReader(path) as reader:
        chunks = list(reader.chunks(7))
        times = [pts * reader.info.time_base for chunk in chunks for pts in chunk.pts]
        assert reader.info.first_pts * reader.info.time_base == times[0]
        assert reader.info.origin_seconds == 0
    return [read_index(picture) for chunk in chunks for picture in chunk.src], times


def milliseconds(path: Path) -> list[int]:
    indices, times = read(path)
    assert indices == list(range(len(indices)))
    return [int(time * 1000) for time in times]


@pytest.fixture(scope="module")
def ten_frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "ten.mp4"
    return write_clip(path, [index_frame(i) for i in range(10)])


def test_variable_rates_come_out_as_they_are(tmp_path: Path) -> None:
    pts = [0, 1001, 1002, 7777, 7900, 30_000, 30_001, 90_000]
    clip = write_clip(tmp_path / "clip.mp4", [index_frame(i) for i in range(8)], pts=pts)
    assert read(clip) == (list(range(8)), [Fraction(p, 30_000) for p in pts])


@pytest.mark.parametrize(
    "time_base", [Fraction(1, 24), Fraction(1001, 30_000), Fraction(1, 90_000), Fraction(7, 1000)]
)
def test_odd_time_bases(tmp_path: Path, time_base: Fraction) -> None:
    frames = [index_frame(i) for i in range(12)]
    pts = [0, 1, 2, 3, 5, 8, 9, 10, 11, 12, 13, 20]
    clip = write_clip(
        tmp_path / "clip.mp4", frames, pts=pts, time_base=time_base, rate=1 / time_base
    )
    indices, times = read(clip)
    assert indices == list(range(12))
    assert times == [p * time_base for p in pts]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".ts", ".flv"])
def test_b_frames_come_in_order_of_presentation(tmp_path: Path, suffix: str) -> None:
    frames = [index_frame(i) for i in range(40)]
    indices, times = read(write_clip(tmp_path / f"clip{suffix}", frames, options=B_FRAMES))
    assert indices == list(range(40))
    steps = [float(after - before) for before, after in pairwise(times)]
    assert steps == pytest.approx([1 / 30] * 39, abs=0.001)


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_a_start_offset_is_kept(tmp_path: Path, suffix: str) -> None:
    frames, pts = [index_frame(i) for i in range(10)], range(60_000, 70_000, 1000)
    indices, times = read(write_clip(tmp_path / f"clip{suffix}", frames, pts=pts))
    assert indices == list(range(10))
    assert float(times[0]) == pytest.approx(2, abs=0.001)


def test_an_edit_list_hides_the_first_frames(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [index_frame(i) for i in range(30)], options=B_FRAMES)
    content = bytearray(clip.read_bytes())
    # Version, flags and number of entries (1), duration: 16 bytes after the name.
    where = content.index(b"elst") + 16
    (media_time,) = struct.unpack_from(">i", content, where)
    struct.pack_into(">i", content, where, media_time + 5000)
    clip.write_bytes(content)
    indices, times = read(clip)
    assert indices == list(range(5, 30))
    assert times == [Fraction(i, 30) for i in range(25)]


def test_frames_of_equal_time_all_come_out(ten_frames: Path, tmp_path: Path) -> None:
    pts = [0, 33, 33, 33, 133, 167, 167, 233, 267, 300]
    clip = retimed(ten_frames, tmp_path / "clip.mkv", pts)
    assert milliseconds(clip) == [0, 33, 34, 35, 133, 167, 168, 233, 267, 300]


def test_a_frame_out_of_place_comes_just_after_the_one_before(
    ten_frames: Path, tmp_path: Path
) -> None:
    pts = [0, 33, 67, 50, 133, 167, 200, 233, 267, 300]
    clip = retimed(ten_frames, tmp_path / "clip.mkv", pts)
    assert milliseconds(clip) == [0, 33, 67, 68, 133, 167, 200, 233, 267, 300]


def test_a_clock_that_starts_again_goes_on(ten_frames: Path, tmp_path: Path) -> None:
    pts = [5000, 5033, 5067, 5100, 5133, 0, 33, 67, 100, 133]
    clip = retimed(ten_frames, tmp_path / "clip.mkv", pts)
    times = milliseconds(clip)
    assert times[:5] == pts[:5]
    assert [time - times[5] for time in times[5:]] == pts[5:]
    assert times[5] == pytest.approx(5167, abs=1)


@pytest.mark.parametrize("name", ["clip.avi", "clip.h264"])
def test_files_without_timestamps_run_at_their_rate(tmp_path: Path, name: str) -> None:
    frames, tick = [index_frame(i) for i in range(20)], Fraction(1, 25)
    clip = write_clip(tmp_path / name, frames, time_base=tick, rate=1 / tick)
    indices, times = read(clip)
    assert indices == list(range(20))
    assert [time - times[0] for time in times] == [i * tick for i in range(20)]


def test_missing_times_continue_where_the_frame_before_ends() -> None:
    timeline = Timeline(Fraction(1, 1000), Fraction(25))
    given = [(None, 0), (None, 0), (100, 20), (None, 0), (None, 0), (300, 0)]
    assert [timeline.place(pts, None, length) for pts, length in given] == [
        0,
        40,
        100,
        120,
        160,
        300,
    ]


def test_a_gap_between_decoding_times_is_kept_where_there_are_no_others() -> None:
    timeline = Timeline(Fraction(1, 25), Fraction(25))
    times = [timeline.place(None, dts, 1) * timeline.time_base for dts in (0, 1, 4, 5)]
    assert times == [Fraction(i, 25) for i in (0, 1, 4, 5)]


@pytest.mark.parametrize(
    "time_base", [Fraction(1_000_000_007, 1_000_003), Fraction(1 << 30, 3), Fraction(1, 2**31 - 1)]
)
def test_time_bases_of_large_numbers_stay_what_encoders_take(time_base: Fraction) -> None:
    timeline = Timeline(time_base, 1 / time_base)
    assert max(timeline.time_base.numerator, timeline.time_base.denominator) < 1 << 31
    placed = [timeline.place(pts, None, 1) * timeline.time_base for pts in range(5)]
    assert placed == pytest.approx([pts * time_base for pts in range(5)])


def test_a_time_of_centuries_is_none() -> None:
    timeline = Timeline(Fraction(1, 1000), Fraction(25))
    placed = [timeline.place(pts, None, 0) for pts in (0, 40, 1 << 62, -(1 << 62), 160)]
    assert placed == [0, 40, 80, 120, 160]
