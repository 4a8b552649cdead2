"""The outputs beside the usual videos, what files say of themselves, and several files at once."""

import io
import zipfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from tests.client.encode.test_writer import (
    EXPECTED,
    VIDEO_TYPES,
    matte_chunk,
    pictures_in_a_frame,
    video_info,
    write,
)
from tests.support.clips import alpha_plane, read_frames, read_index, to_rgb
from tests.support.pngs import read_png_sequence
from tests.support.processes import resident_bytes

from rvm_client.decode import read_rgba_at
from rvm_client.encode import matte_path, open_writer
from rvm_client.errors import OutputError
from rvm_client.frames import MatteChunk
from rvm_client.options import MatteOptions
from rvm_client.output_types import FileRole, OutputType
from rvm_client.pixels import UInt8Array, checkerboard, composite


def rows_of(plane: av.video.plane.VideoPlane) -> UInt8Array:
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)
    return rows[:, : plane.width]


def test_every_alpha_has_its_grey_in_the_matte(tmp_path: Path) -> None:
    """Sixteen steps of alpha come out as grey of limited range: 0 is 16, 255 is 235."""
    steps = np.repeat(np.arange(16) * 17, 20).astype(np.uint8)
    pha = np.broadcast_to(steps, (2, 192, 320)).copy()
    path = tmp_path / "out.mp4"
    chunk = MatteChunk(np.zeros((2, 192, 320, 3), np.uint8), pha, (0, 1001))
    with open_writer(path, MatteOptions(OutputType.MATTE), video_info()) as writer:
        writer.write(chunk)
    for frame in read_frames(path):
        middles = rows_of(frame.planes[0])[96, 10::20].astype(int)
        assert np.abs(middles - (16 + np.arange(16) * 17 * 219 / 255)).max() <= 1
        assert (middles[0], middles[-1]) == (16, 235)
        # No colour at all.
        assert all((rows_of(plane) == 128).all() for plane in frame.planes[1:])


def test_foreground_and_matte_make_the_picture_again(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    chunk = matte_chunk(4)
    with open_writer(path, MatteOptions(OutputType.FOREGROUND_AND_MATTE), video_info()) as writer:
        writer.write(chunk)
    assert writer.files == {FileRole.OUTPUT: path, FileRole.MATTE: tmp_path / "out.matte.mp4"}
    foregrounds, mattes = list(read_frames(path)), list(read_frames(matte_path(path)))
    assert [f.time for f in foregrounds] == [f.time for f in mattes]
    for index, (foreground, matte) in enumerate(zip(foregrounds, mattes, strict=True)):
        alpha = to_rgb(matte)[..., 0]
        assert np.abs(alpha.astype(int) - chunk.pha[index]).mean() < 2
        seen = composite(to_rgb(foreground), alpha, (255, 0, 0)).astype(int)
        expected = composite(chunk.fgr[index], chunk.pha[index], (255, 0, 0))
        assert np.abs(seen - expected).mean() < 2


@pytest.mark.parametrize("size", [(320, 192), (321, 193)])
def test_a_png_sequence_is_lossless(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    chunk = matte_chunk(9, width, height)
    rng = np.random.default_rng(0)
    chunk.fgr[:, 40:] = rng.integers(0, 256, chunk.fgr[:, 40:].shape)
    path = write(tmp_path / "out.zip", OutputType.PNG_SEQUENCE, chunk)
    times, pictures = read_png_sequence(path)
    assert times == pytest.approx([i * 1001 / 30_000 for i in range(9)], abs=0.0006)
    for index, picture in enumerate(pictures):
        assert read_index(picture) == index
        assert np.array_equal(picture[..., 3], chunk.pha[index])
        seen = chunk.pha[index] > 0
        assert np.array_equal(picture[seen, :3], chunk.fgr[index][seen])


def test_a_png_sequence_keeps_what_the_next_frames_overwrite(tmp_path: Path) -> None:
    """Frames in shared memory lie where later ones will lie."""
    chunk = matte_chunk(12)
    fgr, pha = np.empty_like(chunk.fgr[:1]), np.empty_like(chunk.pha[:1])
    info = video_info(chunk.pha.shape[2], chunk.pha.shape[1])
    path = tmp_path / "out.zip"
    with open_writer(path, MatteOptions(OutputType.PNG_SEQUENCE), info) as writer:
        for index, pts in enumerate(chunk.pts):
            fgr[0], pha[0] = chunk.fgr[index], chunk.pha[index]
            writer.write(MatteChunk(fgr, pha, (pts,)))
    _, pictures = read_png_sequence(path)
    assert [read_index(picture) for picture in pictures] == list(range(12))


def test_the_same_frames_give_the_same_zip(tmp_path: Path) -> None:
    first, second = (
        write(tmp_path / name, OutputType.PNG_SEQUENCE, matte_chunk(3))
        for name in ("a.zip", "b.zip")
    )
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", ["preview.png", "preview.jpg"])
@pytest.mark.parametrize(("expected", "shown"), [(12, 4), (None, 8), (100, 0)])
def test_the_preview_is_a_frame_of_the_first_third(
    tmp_path: Path, name: str, expected: int | None, shown: int
) -> None:
    """The length is known, is not known, or is not what the header says."""
    chunk = matte_chunk(12)
    options = MatteOptions(OutputType.ALPHA, preview=tmp_path / name)
    info = replace(video_info(), frame_count_from_header=expected)
    with open_writer(tmp_path / "out.webm", options, info) as writer:
        writer.write(chunk)
    with Image.open(tmp_path / name) as image:
        picture = np.asarray(image.convert("RGB"))
    assert read_index(picture) == shown
    right = composite(chunk.fgr[shown], chunk.pha[shown], checkerboard(192, 320, 8))
    assert np.abs(picture.astype(int) - right).mean() < 3


def test_the_preview_shows_what_was_dropped_in_a_tint(tmp_path: Path) -> None:
    """On the left the person, in the middle somebody who is not kept, on the right nobody."""
    fgr = np.full((1, 192, 320, 3), 90, np.uint8)
    pha, dropped = np.zeros((2, 1, 192, 320), np.uint8)
    pha[..., :100], dropped[..., 100:200] = 255, 255
    options = MatteOptions(OutputType.ALPHA, preview=tmp_path / "preview.png")
    with open_writer(tmp_path / "out.webm", options, video_info()) as writer:
        writer.write(MatteChunk(fgr, pha, (0,), dropped=dropped))
    with Image.open(tmp_path / "preview.png") as image:
        picture = np.asarray(image.convert("RGB")).astype(int)
    assert (picture[:, :100] == 90).all()
    red, green, blue = np.moveaxis(picture[:, 100:200], -1, 0)
    assert (red > green + 80).all()
    assert (red > blue + 60).all()
    board = checkerboard(192, 320, 8)[:, 200:]
    np.testing.assert_array_equal(picture[:, 200:], board)


def test_the_preview_has_square_pixels(tmp_path: Path) -> None:
    info = replace(video_info(), sample_aspect_ratio=Fraction(3, 2))
    options = MatteOptions(OutputType.ALPHA, preview=tmp_path / "preview.png")
    with open_writer(tmp_path / "out.webm", options, info) as writer:
        writer.write(matte_chunk(1))
    with Image.open(tmp_path / "preview.png") as image:
        assert image.size == (480, 192)


@pytest.mark.parametrize("output_type", VIDEO_TYPES)
@pytest.mark.parametrize(("primaries", "transfer"), [(1, 1), (6, 6), (5, 1), (9, 14)])
def test_the_source_s_colour_and_pixel_shape_are_written(
    tmp_path: Path, output_type: OutputType, primaries: int, transfer: int
) -> None:
    info = replace(
        video_info(),
        color_primaries=primaries,
        color_trc=transfer,
        sample_aspect_ratio=Fraction(5, 4),
    )
    path = tmp_path / f"out{output_type.suffix}"
    with open_writer(path, MatteOptions(output_type), info) as writer:
        writer.write(matte_chunk(2))
    for file in writer.files.values():
        with av.open(str(file)) as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            assert (context.color_primaries, context.color_trc) == (primaries, transfer)
            assert (context.colorspace, context.color_range) == (1, 1)
            # WebM has square pixels, and more of them.
            is_webm = output_type is OutputType.ALPHA
            width, shape = (400, Fraction(1)) if is_webm else (320, Fraction(5, 4))
            assert (stream.width, stream.sample_aspect_ratio or 1) == (width, shape)
            assert stream.height == 192 * pictures_in_a_frame(output_type)


BARS = [(235, 235, 235), (235, 235, 16), (16, 235, 235), (16, 235, 16), (235, 16, 235)]
BARS += [(235, 16, 16), (16, 16, 235), (0, 0, 0), (255, 255, 255), (255, 0, 0)]


@pytest.mark.parametrize("output_type", [t for t in VIDEO_TYPES if t is not OutputType.MATTE])
def test_colour_bars_and_a_grey_ramp_survive(tmp_path: Path, output_type: OutputType) -> None:
    picture = np.empty((192, 320, 3), np.uint8)
    for index, colour in enumerate(BARS):
        picture[:96, 32 * index : 32 * (index + 1)] = colour
    picture[96:] = np.linspace(0, 255, 320).astype(np.uint8)[np.newaxis, :, np.newaxis]
    opaque: UInt8Array = np.full((3, 192, 320), 255, np.uint8)
    path = tmp_path / f"out{output_type.suffix}"
    with open_writer(path, MatteOptions(output_type), video_info()) as writer:
        writer.write(MatteChunk(np.stack([picture] * 3), opaque, (0, 1001, 2002)))
    for frame in read_frames(path, decoder=EXPECTED[output_type][2]):
        seen = to_rgb(frame).astype(int)
        for index, colour in enumerate(BARS):
            middle = seen[20:76, 32 * index + 8 : 32 * index + 24].reshape(-1, 3).mean(axis=0)
            assert np.abs(middle - colour).max() <= 3
        ramp = seen[100:192, 8:312].mean(axis=(0, 2))
        error = ramp - picture[100, 8:312, 0]
        assert np.abs(error).max() <= 3
        assert abs(error.mean()) < 0.6


def size_with(tmp_path: Path, options: MatteOptions) -> int:
    rng = np.random.default_rng(0)
    chunk = matte_chunk(30)
    chunk.fgr[:] = rng.integers(0, 256, (30, 24, 40, 3)).astype(np.uint8).repeat(8, 1).repeat(8, 2)
    path = tmp_path / f"out{options.output_type.suffix}"
    with open_writer(path, options, video_info()) as writer:
        writer.write(chunk)
    return path.stat().st_size


@pytest.mark.parametrize("output_type", [OutputType.GREENSCREEN, OutputType.ALPHA])
def test_crf_and_bitrate_decide_the_size(tmp_path: Path, output_type: OutputType) -> None:
    low, high = (size_with(tmp_path, MatteOptions(output_type, crf=crf)) for crf in (40, 12))
    assert low < 0.6 * high
    slow, fast = (
        size_with(tmp_path, MatteOptions(output_type, bitrate_bits_per_second=rate))
        for rate in (300_000, 6_000_000)
    )
    assert slow < 0.4 * fast


def test_the_second_file_failing_takes_the_first_along(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    matte_path(target).mkdir()
    options = MatteOptions(OutputType.FOREGROUND_AND_MATTE)
    with pytest.raises(OutputError, match=r"out\.matte\.mp4 is a folder"):
        open_writer(target, options, video_info()).__enter__()
    assert list(tmp_path.iterdir()) == [matte_path(target)]


def test_a_preview_that_cannot_be_written_leaves_no_video(tmp_path: Path) -> None:
    options = MatteOptions(OutputType.ALPHA, preview=tmp_path / "gone" / "preview.png")
    with pytest.raises(OutputError, match="there is no folder"):
        open_writer(tmp_path / "out.webm", options, video_info()).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_a_png_sequence(tmp_path: Path) -> None:
    """Noise does not compress: kept in memory, the pictures would add up to 150 MB."""
    rng = np.random.default_rng(0)
    fgr = rng.integers(0, 256, (1, 480, 640, 3)).astype(np.uint8)
    pha: UInt8Array = np.full((1, 480, 640), 255, np.uint8)
    path = tmp_path / "out.zip"
    info = video_info(640, 480)
    with open_writer(path, MatteOptions(OutputType.PNG_SEQUENCE), info) as writer:
        sizes = []
        for index in range(150):
            writer.write(MatteChunk(fgr, pha, (index,)))
            sizes.append(resident_bytes())
    assert path.stat().st_size > 100_000_000
    assert max(sizes[10:]) - max(sizes[:10]) < 40_000_000


def test_alpha_of_the_png_and_of_prores_agree(tmp_path: Path) -> None:
    chunk = matte_chunk(2)
    zipped = write(tmp_path / "out.zip", OutputType.PNG_SEQUENCE, chunk)
    movie = write(tmp_path / "out.mov", OutputType.ALPHA_PRORES, chunk)
    with zipfile.ZipFile(zipped) as archive:
        png = np.asarray(Image.open(io.BytesIO(archive.read("frame_000001.png"))))
    assert np.abs(alpha_plane(next(read_frames(movie))) - png[..., 3]).max() <= 1


def test_the_last_column_of_an_odd_width_is_read_as_it_is(tmp_path: Path) -> None:
    """Memory that was used before must not show through: hence several times."""
    frame = av.VideoFrame(193, 144, "yuva420p")
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    path = tmp_path / "odd.webm"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=30, options={"auto-alt-ref": "0"})
        assert isinstance(stream, av.video.stream.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 193, 144, "yuva420p"
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for _ in range(20):
        used = [np.full(193 * 144 * 4 + 64, 200, np.uint8) for _ in range(50)]
        del used
        (picture,) = read_rgba_at(path, [0.0])
        assert picture[..., 3].max() == 0
