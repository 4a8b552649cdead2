from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.support.clips import frame_of, index_frame, read_index, write_clip, write_frames

from rvm_client.decode import VideoReader, read_rgba_at
from rvm_client.errors import InputError
from rvm_client.options import MatteOptions
from rvm_client.pixels import UInt8Array

CORNERS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]


def four_corners(width: int = 320, height: int = 192) -> UInt8Array:
    """Red, green / blue, white quarters: no two orientations look alike."""
    picture = np.zeros((height, width, 3), np.uint8)
    halves = [slice(0, height // 2), slice(height // 2, height)]
    for colour, (row, column) in zip(CORNERS, np.ndindex(2, 2), strict=True):
        left = slice(0, width // 2) if column == 0 else slice(width // 2, width)
        picture[halves[row], left] = colour
    return picture


def first_picture(path: Path, options: MatteOptions | None = None) -> UInt8Array:
    with VideoReader(path, options) as reader:
        picture: UInt8Array = next(reader.chunks(4)).src[0]
        assert picture.shape[:2] == (reader.info.height_pixels, reader.info.width_pixels)
    return picture


def expected(turned_degrees: int, mirrored: tuple[bool, bool]) -> UInt8Array:
    """A counter-clockwise turn, then the mirrors, as a display matrix means them."""
    picture: UInt8Array = np.rot90(four_corners(), turned_degrees // 90)
    if mirrored[0]:
        picture = np.fliplr(picture)
    if mirrored[1]:
        picture = np.flipud(picture)
    return picture


@pytest.mark.parametrize("mirrored", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("turned_degrees", [0, 90, 180, -90])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p"])
def test_the_display_matrix_is_applied(
    tmp_path: Path, turned_degrees: int, mirrored: tuple[bool, bool], pix_fmt: str
) -> None:
    clip = write_frames(
        tmp_path / "clip.mp4",
        [frame_of(four_corners(), pix_fmt) for _ in range(2)],
        options={"crf": "4"},
        turned_degrees=turned_degrees,
        mirrored=mirrored,
    )
    wanted = expected(turned_degrees, mirrored)
    for picture in (first_picture(clip), read_rgba_at(clip, [0.0])[0][..., :3]):
        assert picture.shape == wanted.shape
        wrong = np.abs(picture.astype(int) - wanted).max(-1) > 40
        # Chroma runs a little over the borders between the quarters.
        assert wrong.mean() < 0.03


@pytest.mark.parametrize("size", [(321, 193), (320, 193), (63, 65)])
@pytest.mark.parametrize("turned_degrees", [None, 90])
@pytest.mark.parametrize(("codec", "pix_fmt"), [("libx264", "yuv444p"), ("libvpx-vp9", "yuv420p")])
def test_odd_sizes_stay(
    tmp_path: Path,
    size: tuple[int, int],
    turned_degrees: int | None,
    codec: str,
    pix_fmt: str,
) -> None:
    width, height = size
    clip = write_frames(
        tmp_path / "clip.mp4",
        [frame_of(four_corners(width, height), pix_fmt)],
        codec=codec,
        options={"crf": "4"},
        turned_degrees=turned_degrees,
    )
    wanted = np.rot90(four_corners(width, height), 0 if turned_degrees is None else 1)
    picture = first_picture(clip)
    assert picture.shape == wanted.shape
    wrong = np.abs(picture.astype(int) - wanted).max(-1) > 40
    assert wrong.mean() < 0.08
    # The last lines and columns are picture, too.
    for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        assert np.abs(picture[corner].astype(int) - wanted[corner]).max() <= 12


@pytest.mark.parametrize(
    ("turned_degrees", "ratio"), [(None, Fraction(16, 11)), (90, Fraction(11, 16))]
)
def test_the_pixel_shape_is_kept(
    tmp_path: Path, turned_degrees: int | None, ratio: Fraction
) -> None:
    clip = write_frames(
        tmp_path / "clip.mp4",
        [frame_of(index_frame(0))],
        sample_aspect_ratio=Fraction(16, 11),
        turned_degrees=turned_degrees,
    )
    with VideoReader(clip) as reader:
        assert reader.info.sample_aspect_ratio == ratio


def test_square_pixels_where_the_file_does_not_say(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [index_frame(0)])
    with VideoReader(clip) as reader:
        assert reader.info.sample_aspect_ratio == 1


@pytest.mark.parametrize(
    ("bounds", "size"),
    [
        ((160, None), (160, 96)),
        ((None, 96), (160, 96)),
        ((200, 60), (100, 60)),
        ((1000, 1000), (320, 192)),
        ((320, 192), (320, 192)),
        ((33, None), (32, 18)),
    ],
)
def test_pictures_are_scaled_down_to_fit(
    tmp_path: Path, bounds: tuple[int | None, int | None], size: tuple[int, int]
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [four_corners()] * 2)
    options = MatteOptions(max_width_pixels=bounds[0], max_height_pixels=bounds[1])
    picture = first_picture(clip, options)
    width, height = size
    assert picture.shape == (height, width, 3)
    for colour, (y, x) in zip(CORNERS, np.ndindex(2, 2), strict=True):
        seen = picture[height // 4 + y * height // 2, width // 4 + x * width // 2].astype(int)
        assert np.abs(seen - colour).max() <= 4


def test_bounds_are_those_of_the_upright_picture(tmp_path: Path) -> None:
    clip = write_frames(tmp_path / "clip.mp4", [frame_of(four_corners())], turned_degrees=90)
    assert first_picture(clip, MatteOptions(max_width_pixels=96)).shape == (160, 96, 3)


def test_every_frame_of_a_turned_video_comes_once(tmp_path: Path) -> None:
    frames = [frame_of(index_frame(i)) for i in range(20)]
    clip = write_frames(tmp_path / "clip.mp4", frames, turned_degrees=180)
    with VideoReader(clip) as reader:
        pictures = [picture for chunk in reader.chunks(6) for picture in chunk.src]
    assert [read_index(picture[::-1, ::-1]) for picture in pictures] == list(range(20))


def test_a_change_of_the_picture_size_is_refused(tmp_path: Path) -> None:
    large = write_clip(tmp_path / "large.h264", [index_frame(i) for i in range(5)])
    small = write_clip(tmp_path / "small.h264", [index_frame(i, 160, 96) for i in range(5)])
    joined = tmp_path / "joined.h264"
    joined.write_bytes(large.read_bytes() + small.read_bytes())
    with (
        VideoReader(joined) as reader,
        pytest.raises(InputError, match=r"from 320x192 to 160x96.*parts of one size"),
    ):
        list(reader.chunks(4))
