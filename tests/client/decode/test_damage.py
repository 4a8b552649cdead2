"""What is broken, cut, or larger than allowed."""

from pathlib import Path

import av
import numpy as np
import pytest
from tests.support.clips import index_frame, read_index, write_clip

from rvm_client.decode import VideoReader, check_source
from rvm_client.errors import InputError
from rvm_client.options import Limits, MatteOptions

FRAMES = 100
KEYFRAME_EVERY = 20


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = [index_frame(i) for i in range(FRAMES)]
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    options = {"bf": "0", "g": str(KEYFRAME_EVERY), "sc_threshold": "0"}
    return write_clip(path, frames, options=options)


def damaged(clip: Path, target: Path, packets: list[int], how: str) -> Path:
    """A copy of the clip with the given packets overwritten."""
    content = bytearray(clip.read_bytes())
    noise = np.random.default_rng(7)
    with av.open(str(clip)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    for index in packets:
        position, size = places[index]
        assert position is not None
        start = position + (4 if how == "zeros" else size // 2)
        length = position + size - start
        content[start : start + length] = bytes(length) if how == "zeros" else noise.bytes(length)
    target.write_bytes(content)
    return target


def read(path: Path) -> tuple[list[int], list[int], int]:
    """Indices, times in frames, and the number of damaged packets."""
    with VideoReader(path) as reader:
        chunks = list(reader.chunks(8))
        indices = [read_index(picture) for chunk in chunks for picture in chunk.src]
        times = [round(30 * p * reader.info.time_base) for chunk in chunks for p in chunk.pts]
        return indices, times, reader.damaged_packets


@pytest.mark.parametrize("how", ["zeros", "noise"])
@pytest.mark.parametrize("packets", [[50], [99], [33, 34, 71], [97, 98]])
def test_damage_costs_the_damaged_frames_only(
    clip: Path, tmp_path: Path, packets: list[int], how: str
) -> None:
    indices, times, count = read(damaged(clip, tmp_path / "clip.mp4", packets, how))
    intact = [i for i in range(FRAMES) if i not in packets]
    assert [time for time in times if time in intact] == intact
    assert count == len(packets)
    # Frames that lean on a damaged one may look wrong up to the next keyframe, not after it.
    sound = {i for i in intact if all(not p <= i < p - p % 20 + 20 for p in packets)}
    assert all(index == time for index, time in zip(indices, times, strict=True) if time in sound)


def test_a_damaged_start_costs_what_hangs_on_it(clip: Path, tmp_path: Path) -> None:
    indices, times, count = read(damaged(clip, tmp_path / "clip.mp4", [0], "zeros"))
    assert indices == times == list(range(KEYFRAME_EVERY, FRAMES))
    assert count >= 1


def test_an_intact_file_has_no_damage(clip: Path) -> None:
    indices, times, count = read(clip)
    assert indices == times == list(range(FRAMES))
    assert count == 0


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_a_file_that_breaks_off_gives_what_there_is(tmp_path: Path, suffix: str) -> None:
    path = write_clip(tmp_path / f"clip{suffix}", [index_frame(i) for i in range(60)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    indices, times, _ = read(path)
    assert 20 < len(indices) < 60
    assert indices == list(range(len(indices)))
    assert times == sorted(set(times))


def test_a_file_of_which_nothing_decodes_is_refused(clip: Path, tmp_path: Path) -> None:
    broken = damaged(clip, tmp_path / "clip.mp4", list(range(FRAMES)), "zeros")
    with pytest.raises(InputError, match="not one frame can be decoded"):
        check_source(broken, MatteOptions(), Limits())


def limited(duration_seconds: float = 1e9, pixels: int = 1 << 40, frames: int = 1 << 40) -> Limits:
    return Limits(duration_seconds, pixels, frames)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (limited(duration_seconds=2), r"lasts 3\.3 s.*limit of 2 s \(max_duration_seconds\)"),
        (limited(frames=60), r"100 frames.*limit of 60 frames \(max_frames\)"),
        (limited(pixels=60_000), r"320x192 = 61440.*limit of 60000.*\(max_frame_pixels\)"),
    ],
)
def test_limits_hold_by_the_header(clip: Path, limits: Limits, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_source(clip, MatteOptions(), limits)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (limited(duration_seconds=2), "max_duration_seconds"),
        (limited(frames=60), "max_frames"),
    ],
)
def test_limits_hold_where_the_header_says_nothing(
    tmp_path: Path, limits: Limits, message: str
) -> None:
    clip = write_clip(tmp_path / "clip.h264", [index_frame(i) for i in range(100)])
    with VideoReader(clip, limits=limits) as reader, pytest.raises(InputError, match=message):
        list(reader.chunks(8))


def test_what_is_at_the_limit_passes(clip: Path) -> None:
    with VideoReader(clip, limits=limited(100 / 30 + 0.001, 320 * 192, 100)) as reader:
        assert sum(len(chunk.pts) for chunk in reader.chunks(8)) == 100


def test_limits_count_what_is_kept_of_a_trimmed_video(clip: Path) -> None:
    options = MatteOptions(start_seconds=1, end_seconds=2)
    with VideoReader(clip, options, Limits(1.0, 1 << 20, 30)) as reader:
        list(reader.chunks(8))


def test_far_too_many_streams_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "many.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("ffv1", rate=30) for _ in range(70)]
        for stream in streams:
            assert isinstance(stream, av.video.stream.VideoStream)
            stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        for stream in streams:
            assert isinstance(stream, av.video.stream.VideoStream)
            container.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
            container.mux(stream.encode(None))
    with pytest.raises(InputError, match="70 streams, and 64 is the limit"):
        check_source(path, MatteOptions(), Limits())
