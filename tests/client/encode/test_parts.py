"""Segments that are encoded on their own, joined: the file that one encoder would have written."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from tests.support.clips import alpha_plane, read_frames, to_rgb
from tests.support.hevc_reader import layer_frames

from rvm_client.encode import matte_path, open_joined, open_part_writer, open_writer
from rvm_client.errors import JoinError, StoppedError
from rvm_client.frames import MatteChunk, VideoInfo
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pixels import UInt8Array

FRAMES = 60
TIME_BASE = Fraction(1, 1000)
JOINABLE = [kind for kind in OutputType if kind.facts.can_be_joined]
# Frames come at uneven times, and the first of them late.
PTS = [500 + 33 * n + (11 if n % 3 == 1 else 0) + (200 if n > 41 else 0) for n in range(FRAMES)]
BORDERS = (0, 17, 38, FRAMES)


def info() -> VideoInfo:
    return VideoInfo(64, 48, TIME_BASE, Fraction(30), None, None, first_pts=PTS[0])


@pytest.fixture(scope="module")
def frames() -> tuple[UInt8Array, UInt8Array]:
    """Foregrounds [T,H,W,3] and alphas [T,H,W]: waves of colour that move."""
    y, x = np.mgrid[:48, : 64 + FRAMES]
    waves = [128 + 100 * np.sin(x / 9 + channel) * np.cos(y / 7) for channel in range(3)]
    smooth = np.stack(waves, axis=-1).astype(np.uint8)
    fgr = np.stack([smooth[:, n : n + 64] for n in range(FRAMES)])
    return fgr, np.ascontiguousarray(fgr[..., 0])


def chunk(frames: tuple[UInt8Array, UInt8Array], start: int, end: int) -> MatteChunk:
    return MatteChunk(frames[0][start:end], frames[1][start:end], tuple(PTS[start:end]))


def in_parts(
    folder: Path, options: MatteOptions, frames: tuple[UInt8Array, UInt8Array]
) -> list[Path]:
    segments = []
    for start, end in pairwise(BORDERS):
        segments.append(folder / f"{start}.part")
        with open_part_writer(segments[-1], options, info()) as writer:
            writer.write(chunk(frames, start, end))
    return segments


def packets(path: Path) -> "list[av.Packet[av.VideoStream]]":
    with av.open(str(path)) as container:
        return [packet for packet in container.demux(video=0) if packet.size]


def head(path: Path) -> Sequence[object]:
    """What the container says of its stream."""
    with av.open(str(path)) as container:
        (stream,) = container.streams.video
        context = stream.codec_context
        return (
            context.name,
            context.extradata,
            context.pix_fmt,
            context.color_range,
            context.colorspace,
            stream.metadata,
            stream.time_base,
            stream.average_rate,
            stream.start_time,
            container.duration,
        )


@pytest.mark.parametrize("kind", JOINABLE)
def test_times_and_head_are_those_of_one_encoder(
    kind: OutputType, tmp_path: Path, frames: tuple[UInt8Array, UInt8Array]
) -> None:
    options = MatteOptions(kind, prefer_quality=True)
    whole, joined = tmp_path / f"whole{kind.suffix}", tmp_path / f"joined{kind.suffix}"
    with open_writer(whole, options, info()) as writer:
        writer.write(chunk(frames, 0, FRAMES))
    with open_joined(joined, options, info(), in_parts(tmp_path, options, frames)):
        pass
    files = [(whole, joined)]
    if kind is OutputType.FOREGROUND_AND_MATTE:
        files.append((matte_path(whole), matte_path(joined)))
    for one, other in files:
        assert head(one) == head(other)
        a, b = packets(one), packets(other)
        assert [p.dts for p in a] == [p.dts for p in b]
        assert sorted(p.pts or 0 for p in a) == sorted(p.pts or 0 for p in b)
        keyframes = {round(1000 * (p.pts or 0) * p.time_base) for p in b if p.is_keyframe}
        assert {PTS[n] for n in BORDERS[:-1]} <= keyframes


@pytest.mark.parametrize("kind", JOINABLE)
def test_frames_are_those_of_one_encoder(
    kind: OutputType, tmp_path: Path, frames: tuple[UInt8Array, UInt8Array]
) -> None:
    options = MatteOptions(kind)
    whole, joined = tmp_path / f"whole{kind.suffix}", tmp_path / f"joined{kind.suffix}"
    with open_writer(whole, options, info()) as writer:
        writer.write(chunk(frames, 0, FRAMES))
    with open_joined(joined, options, info(), in_parts(tmp_path, options, frames)):
        pass
    decoder = "libvpx-vp9" if kind is OutputType.ALPHA else None
    pairs = zip(
        read_frames(whole, decoder=decoder), read_frames(joined, decoder=decoder), strict=True
    )
    count = 0
    for one, other in pairs:
        count += 1
        apart = np.abs(to_rgb(one).astype(int) - to_rgb(other))
        assert apart.mean() < (0.01 if kind is OutputType.ALPHA_PRORES else 6)
        if kind in (OutputType.ALPHA, OutputType.ALPHA_PRORES):
            assert np.abs(alpha_plane(one) - alpha_plane(other)).mean() < 6
    assert count == FRAMES


def test_the_second_layer_is_joined_with_the_first(
    tmp_path: Path, frames: tuple[UInt8Array, UInt8Array]
) -> None:
    options = MatteOptions(OutputType.ALPHA_HEVC)
    joined = tmp_path / "joined.mov"
    with open_joined(joined, options, info(), in_parts(tmp_path, options, frames)):
        pass
    alphas = layer_frames(joined, 1)
    assert len(alphas) == FRAMES
    for frame, expected in zip(alphas, frames[1], strict=True):
        apart = frame.to_ndarray()[: expected.shape[0]].astype(int) - expected
        assert np.abs(apart).mean() < 2


def test_parts_of_other_encoders_are_not_joined(
    tmp_path: Path, frames: tuple[UInt8Array, UInt8Array]
) -> None:
    options = MatteOptions()
    segments = in_parts(tmp_path, options, frames)
    with open_part_writer(segments[1], MatteOptions(prefer_quality=True), info()) as writer:
        writer.write(chunk(frames, BORDERS[1], BORDERS[2]))
    target = tmp_path / "joined.mp4"
    with (
        pytest.raises(JoinError, match="encoded in different ways"),
        open_joined(target, options, info(), segments),
    ):
        pass
    assert not target.exists()


def test_joining_can_be_stopped(tmp_path: Path, frames: tuple[UInt8Array, UInt8Array]) -> None:
    options = MatteOptions()
    segments = in_parts(tmp_path, options, frames)

    def check() -> None:
        raise StoppedError("the work was cancelled")

    with (
        pytest.raises(StoppedError),
        open_joined(tmp_path / "joined.mp4", options, info(), segments, check=check),
    ):
        pass
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".part"] * 3
