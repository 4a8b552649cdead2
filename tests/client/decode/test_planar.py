"""Frames in planes: the codec's own bytes where that is possible, the right colours everywhere."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from tests.support.clips import (
    filtered,
    frame_of,
    index_frame,
    read_frames,
    read_index,
    write_frames,
    yuv_frame,
    yuv_of,
)

from rvm_client.decode import VideoReader
from rvm_client.frames import SourceChunk, VideoInfo
from rvm_client.options import MatteOptions
from rvm_client.pixels import I420, RGB, UInt8Array

BT709, BT601, BT2020 = 1, 6, 9
LOSSLESS = "ffv1"


def read(clip: Path, options: MatteOptions | None = None) -> tuple[list[SourceChunk], VideoInfo]:
    with VideoReader(clip, options, takes_planes=True) as reader:
        return list(reader.chunks(4)), reader.info


def frames_of(chunks: list[SourceChunk]) -> list[UInt8Array]:
    return [frame for chunk in chunks for frame in chunk.src]


def shown(frame: UInt8Array, info: VideoInfo) -> UInt8Array:
    """RGB [H,W,3] of a frame as it goes to the model."""
    rows, columns = np.arange(info.height_pixels), np.arange(info.width_pixels)
    return np.asarray(np.rint(info.layout.rgb_at(frame, rows, columns)), np.uint8)


def noise(count: int, width: int, height: int) -> list[UInt8Array]:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, height // 2, width // 2, 3), np.uint8)
    return list(coarse.repeat(2, axis=1).repeat(2, axis=2))


@pytest.mark.parametrize("size", [(64, 48), (322, 194), (34, 38), (640, 360)])
@pytest.mark.parametrize("codec", [LOSSLESS, "libx264"])
def test_the_codec_s_planes_come_out(tmp_path: Path, size: tuple[int, int], codec: str) -> None:
    frames = [frame_of(picture) for picture in noise(6, *size)]
    clip = write_frames(tmp_path / "clip.mkv", frames, codec=codec)
    chunks, info = read(clip)
    assert isinstance(info.layout, I420)
    assert [len(chunk.pts) for chunk in chunks] == [4, 2]
    stored = [frame.to_ndarray() for frame in read_frames(clip)]
    assert stored[0].shape == (size[1] * 3 // 2, size[0])
    for ours, theirs in zip(frames_of(chunks), stored, strict=True):
        assert np.array_equal(ours, theirs)


def test_without_being_asked_for_there_are_none(tmp_path: Path) -> None:
    clip = write_frames(tmp_path / "clip.mkv", [frame_of(index_frame(0))])
    with VideoReader(clip) as reader:
        assert reader.info.layout == RGB
        assert next(reader.chunks(1)).src.shape == (1, 192, 320, 3)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", [BT709, BT601, BT2020])
def test_matrix_and_range_are_those_of_the_source(
    tmp_path: Path, matrix: int, full_range: bool
) -> None:
    (picture,) = noise(1, 128, 96)
    samples = yuv_of(picture, matrix, full_range=full_range)
    frame = yuv_frame(samples, matrix, full_range=full_range, subsampled=True)
    chunks, info = read(write_frames(tmp_path / "clip.mkv", [frame], codec=LOSSLESS))
    assert isinstance(info.layout, I420)
    assert np.abs(shown(chunks[0].src[0], info).astype(int) - picture).max() <= 2


@pytest.mark.parametrize(("size", "matrix"), [((64, 718), BT601), ((64, 720), BT709)])
def test_height_decides_what_is_not_tagged(
    tmp_path: Path, size: tuple[int, int], matrix: int
) -> None:
    (picture,) = noise(1, *size)
    samples = yuv_of(picture, matrix, full_range=False)
    frame = yuv_frame(samples, matrix, full_range=False, subsampled=True)
    frame.colorspace, frame.color_range = 2, ColorRange.UNSPECIFIED
    chunks, info = read(write_frames(tmp_path / "clip.mkv", [frame], codec=LOSSLESS))
    assert isinstance(info.layout, I420)
    assert np.abs(shown(chunks[0].src[0], info).astype(int) - picture).max() <= 2


def test_full_range_by_the_name_of_the_format(tmp_path: Path) -> None:
    """Motion JPEG says its range by its pixel format."""
    frames = [frame_of(index_frame(i), "yuvj420p", matrix=BT601, color_range=2) for i in range(3)]
    clip = write_frames(tmp_path / "clip.mov", frames, codec="mjpeg")
    chunks, info = read(clip)
    assert isinstance(info.layout, I420)
    pictures = [shown(frame, info) for frame in frames_of(chunks)]
    assert [read_index(picture) for picture in pictures] == [0, 1, 2]
    assert np.abs(pictures[0][60:].astype(int) - 128).max() <= 3


def odd(folder: Path) -> Path:
    frames = [frame_of(index_frame(i, 321, 193), "yuv420p") for i in range(3)]
    return write_frames(folder / "clip.mkv", frames, codec=LOSSLESS)


def turned(folder: Path) -> Path:
    frames = [frame_of(index_frame(i)) for i in range(3)]
    return write_frames(folder / "clip.mp4", frames, turned_degrees=90)


def in_format(pix_fmt: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        frames = [frame_of(index_frame(i), pix_fmt) for i in range(3)]
        return write_frames(folder / "clip.mkv", frames, codec=LOSSLESS)

    return make


def interlaced(folder: Path) -> Path:
    frames = filtered([frame_of(index_frame(i)) for i in range(3)], [("setfield", "mode=tff")])
    return write_frames(folder / "clip.mp4", frames, options={"flags": "+ildct+ilme"})


PLAIN = in_format("yuv420p")
UNFIT = {
    "odd size": (odd, MatteOptions()),
    "turned": (turned, MatteOptions()),
    "10 bits": (in_format("yuv420p10le"), MatteOptions()),
    "4:2:2": (in_format("yuv422p"), MatteOptions()),
    "RGB": (in_format("bgr0"), MatteOptions()),
    "grey": (in_format("gray"), MatteOptions()),
    "interlaced": (interlaced, MatteOptions()),
    "scaled": (PLAIN, MatteOptions(max_width_pixels=160)),
    "quality": (PLAIN, MatteOptions(prefer_quality=True)),
}


@pytest.mark.parametrize(("make", "options"), UNFIT.values(), ids=UNFIT)
def test_what_needs_more_than_its_planes_is_rgb(
    tmp_path: Path, make: Callable[[Path], Path], options: MatteOptions
) -> None:
    clip = make(tmp_path)
    chunks, info = read(clip, options)
    assert info.layout == RGB
    with VideoReader(clip, options) as reader:
        for ours, usual in zip(chunks, reader.chunks(4), strict=True):
            assert ours.pts == usual.pts
            assert np.array_equal(ours.src, usual.src)


def test_hdr_is_rgb(tmp_path: Path) -> None:
    frame = frame_of(index_frame(0), matrix=BT2020)
    frame.color_primaries, frame.color_trc = 9, 16
    clip = write_frames(tmp_path / "clip.mkv", [frame], codec=LOSSLESS)
    with VideoReader(clip, takes_planes=True) as reader:
        assert reader.info.tone_mapped
        assert reader.info.layout == RGB


def joined(folder: Path, first: list[av.VideoFrame], then: list[av.VideoFrame]) -> Path:
    """Streams one after the other, each with its own headers."""
    path = folder / "joined.h264"
    for index, frames in enumerate((first, then)):
        flags = {"flags": "+ildct+ilme"} if frames[0].interlaced_frame else {}
        part = write_frames(folder / f"{index}.h264", frames, options={"crf": "4"} | flags)
        with path.open("ab") as file:
            file.write(part.read_bytes())
    return path


CHANGES: dict[str, Callable[[UInt8Array], av.VideoFrame]] = {
    "matrix": lambda picture: frame_of(picture, matrix=BT601),
    "range": lambda picture: frame_of(picture, color_range=ColorRange.JPEG),
    "format": lambda picture: frame_of(picture, "yuv444p"),
    "depth": lambda picture: frame_of(picture, "yuv420p10le"),
    "interlaced": lambda picture: filtered([frame_of(picture)], [("setfield", "mode=tff")])[0],
}


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES)
def test_what_changes_on_the_way(
    tmp_path: Path, changed: Callable[[UInt8Array], av.VideoFrame]
) -> None:
    """The same kind of pictures, first as ordinary video and then otherwise."""
    first = [frame_of(tinted(i)) for i in range(5)]
    then = [changed(tinted(i)) for i in range(5, 10)]
    clip = joined(tmp_path, first, then)
    ways = [
        (f.format.name, f.colorspace, f.color_range, f.interlaced_frame) for f in read_frames(clip)
    ]
    assert len(set(ways)) == 2
    assert_index_frames(clip, 10)


def tinted(index: int) -> UInt8Array:
    picture = index_frame(index)
    picture[64:, :160], picture[64:, 160:] = (200, 60, 40), (30, 90, 220)
    return picture


def assert_index_frames(clip: Path, count: int) -> None:
    """All frames are there with the colours that the usual way finds."""
    chunks, info = read(clip)
    assert isinstance(info.layout, I420)
    pictures = [shown(frame, info) for frame in frames_of(chunks)]
    assert [read_index(picture) for picture in pictures] == list(range(count))
    with VideoReader(clip) as reader:
        usual = list(reader.chunks(4))
    assert [chunk.pts for chunk in chunks] == [chunk.pts for chunk in usual]
    inside = [*range(2, 158), *range(162, 318)]
    for ours, theirs in zip(pictures, frames_of(usual), strict=True):
        difference = np.abs(ours[68:, inside].astype(int) - theirs[68:, inside])
        assert difference.max() <= 6
        assert difference.mean() < 2


def test_a_part_of_a_video(tmp_path: Path) -> None:
    """The lead to a trimmed start comes in planes too, with the same roles and times."""
    frames = [frame_of(index_frame(i)) for i in range(60)]
    clip = write_frames(tmp_path / "clip.mp4", frames)
    options = MatteOptions(start_seconds=1.0, end_seconds=1.5)
    chunks, info = read(clip, options)
    indices = [read_index(shown(frame, info)) for frame in frames_of(chunks)]
    assert indices == list(range(15, 45))
    with VideoReader(clip, options) as reader:
        usual = [(chunk.pts, chunk.role) for chunk in reader.chunks(4)]
    assert [(chunk.pts, chunk.role) for chunk in chunks] == usual
