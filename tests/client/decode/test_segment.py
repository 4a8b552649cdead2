"""A segment of a video: its frames with their own times, and those around it."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from tests.support.clips import index_frame, read_index, write_clip

from rvm_client.decode import VideoReader
from rvm_client.frames import Role
from rvm_client.options import Limits, MatteOptions, Segment

FRAMES = 60
# Uneven, and a second late.
PTS = [1000 + 40 * n + (7 if n % 4 == 1 else 0) for n in range(FRAMES)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keyframes are rare, so a segment begins far from one."""
    return write_clip(
        tmp_path_factory.mktemp("clips") / "clip.mkv",
        [index_frame(n) for n in range(FRAMES)],
        pts=PTS,
        time_base=Fraction(1, 1000),
        rate=Fraction(25),
        options={"g": "24", "bf": "2"},
    )


def read(
    path: Path, options: MatteOptions, frames_per_chunk: int = 4
) -> list[tuple[Role, list[int], list[int]]]:
    """Role, indices and timestamps of each chunk."""
    with VideoReader(path, options, Limits()) as reader:
        return [
            (chunk.role, [read_index(picture) for picture in chunk.src], list(chunk.pts))
            for chunk in reader.chunks(frames_per_chunk)
        ]


def of_role(chunks: Sequence[tuple[Role, list[int], list[int]]], role: Role) -> list[int]:
    return [index for r, indices, _ in chunks if r is role for index in indices]


def test_frames_before_and_behind_come_with_their_roles(clip: Path) -> None:
    segment = Segment(0, PTS[0], PTS[30], PTS[45], 30, lead_frames=10, after_frames=3)
    chunks = read(clip, MatteOptions(segment=segment))
    assert of_role(chunks, Role.WARM_UP) == list(range(20, 30))
    assert of_role(chunks, Role.FRAMES) == list(range(30, 45))
    assert of_role(chunks, Role.AFTER) == [45, 46, 47]
    for _, indices, pts in chunks:
        assert pts == [PTS[index] for index in indices]


def test_chunks_begin_where_those_of_the_whole_do(clip: Path) -> None:
    whole = read(clip, MatteOptions())
    segment = Segment(0, PTS[0], PTS[30], PTS[45], 30, lead_frames=5, after_frames=2)
    part = read(clip, MatteOptions(segment=segment))
    starts = {indices[0] for _, indices, _ in whole}
    assert [indices[0] for role, indices, _ in part if role is Role.FRAMES][1:] == [32, 36, 40, 44]
    assert {32, 36, 40, 44} <= starts


@pytest.mark.parametrize("start_seconds", [None, 0.5])
def test_segments_tile_the_whole(clip: Path, start_seconds: float | None) -> None:
    options = MatteOptions(start_seconds=start_seconds, end_seconds=2.0)
    whole = [chunk for chunk in read(clip, options) if chunk[0] is Role.FRAMES]
    pts = [time for _, _, times in whole for time in times]
    with VideoReader(clip, options) as reader:
        info = reader.info
    origin_pts = round(info.origin_seconds / info.time_base)
    borders = [pts[0], pts[9], pts[20] - 1, None]
    found: list[int] = []
    for start, end in pairwise(borders):
        assert start is not None
        segment = Segment(origin_pts, info.first_pts, start, end, 0, 5, 4)
        chunks = read(clip, replace(options, segment=segment))
        found += of_role(chunks, Role.FRAMES)
        # Nothing comes from beyond the end that was asked for.
        last = max(time for _, _, times in chunks for time in times)
        assert last <= pts[-1]
    assert found == [index for _, indices, _ in whole for index in indices]
