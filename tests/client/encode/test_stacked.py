"""Colour above and alpha below in one H.264 video."""

from pathlib import Path

import numpy as np
import pytest
from tests.client.encode.test_outputs import rows_of
from tests.client.encode.test_planar_frames import in_planes, person, planar_info, write
from tests.client.encode.test_writer import video_info
from tests.support.clips import read_frames

from rvm_client.decode import read_rgba_at
from rvm_client.encode.yuv import yuv_frame
from rvm_client.frames import MatteChunk
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pixels import UInt8Array, composite

HEIGHT, WIDTH = 194, 322
STACKED = MatteOptions(OutputType.ALPHA_STACKED)


@pytest.fixture(params=["RGB", "I420"])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, MatteChunk]:
    """A file, and what it was made of as RGB."""
    chunk, path = person(6), tmp_path / "out.mp4"
    if request.param == "RGB":
        return write(path, STACKED, video_info(WIDTH, HEIGHT), chunk), chunk
    return write(path, STACKED, planar_info(), in_planes(chunk)), chunk


def test_the_two_halves_make_the_picture_again(written: tuple[Path, MatteChunk]) -> None:
    path, chunk = written
    moments_s = [(index + 0.5) * 1001 / 30_000 for index in range(6)]
    pictures = read_rgba_at(path, moments_s, is_stacked=True)
    for index, picture in enumerate(pictures):
        assert picture.shape == (HEIGHT, WIDTH, 4)
        assert np.abs(picture[..., 3].astype(int) - chunk.pha[index]).mean() < 1
        for behind in ((255, 0, 0), (0, 0, 255)):
            seen = composite(picture[..., :3].copy(), picture[..., 3].copy(), behind).astype(int)
            expected = composite(chunk.fgr[index], chunk.pha[index], behind)
            assert np.abs(seen - expected).mean() < 1


def test_nothing_and_all_are_exact(written: tuple[Path, MatteChunk]) -> None:
    """What the codec adds to black and white lies beyond them."""
    path, chunk = written
    pictures = read_rgba_at(path, [0.0], is_stacked=True)
    alpha, meant = pictures[0][..., 3], chunk.pha[0]
    assert (alpha[meant == 0] == 0).mean() > 0.995
    assert (alpha[meant == 255] == 255).mean() > 0.995


def test_the_alpha_has_no_colour(written: tuple[Path, MatteChunk]) -> None:
    path, _ = written
    for frame in read_frames(path):
        assert (frame.width, frame.height) == (WIDTH, 2 * HEIGHT)
        for plane in frame.planes[1:]:
            # Below the block that the seam may run through.
            chroma = rows_of(plane)[HEIGHT // 2 + 8 :].astype(int)
            assert np.abs(chroma - 128).max() <= 1


def test_a_height_of_whole_blocks_keeps_colour_and_alpha_apart(tmp_path: Path) -> None:
    """Strong colour down to the last row, and alpha that begins with nothing."""
    fgr: UInt8Array = np.full((3, 192, 320, 3), (220, 40, 60), np.uint8)
    pha: UInt8Array = np.full((3, 192, 320), 255, np.uint8)
    pha[:, :20] = 0
    chunk = MatteChunk(fgr, pha, (0, 1001, 2002))
    path = write(tmp_path / "out.mp4", STACKED, video_info(), chunk)
    meant = yuv_frame(fgr[0], "yuv420p")
    for frame in read_frames(path):
        for seen, wanted in zip(frame.planes, meant.planes, strict=True):
            height = wanted.height
            apart = rows_of(seen)[height - 4 : height].astype(int) - rows_of(wanted)[-4:]
            assert np.abs(apart).max() <= 2
        assert rows_of(frame.planes[0])[192:208].max() <= 16
        assert all(np.abs(rows_of(p)[96:].astype(int) - 128).max() <= 1 for p in frame.planes[1:])
