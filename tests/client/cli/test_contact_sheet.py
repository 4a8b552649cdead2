"""Which frames of those that pass a sheet keeps."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from tests.client.encode.test_writer import video_info
from tests.support.clips import packed

from rvm_client.cli.contact_sheet import SourcePictures
from rvm_client.frames import Role, SourceChunk
from rvm_client.pixels import I420, UInt8Array, yuv_to_rgb


def chunk(first: int, count: int, size: tuple[int, int] = (2, 2)) -> SourceChunk:
    """Frames whose number is their time in units of the time base, and their grey level."""
    levels = [index % 256 for index in range(first, first + count)]
    src: UInt8Array = np.stack([np.full((*size, 3), level, np.uint8) for level in levels])
    return SourceChunk(src, tuple(range(first, first + count)))


@pytest.mark.parametrize("frames", [1, 2, 5, 16, 17, 100, 1000])
def test_pictures_are_spread_over_a_video_of_any_length(frames: int) -> None:
    info, pictures = replace(video_info(2, 2), time_base=Fraction(1)), SourcePictures()
    for first in range(0, frames, 7):
        pictures(chunk(first, min(7, frames - first)), info)
    end_s = frames - 1
    for index, kept in enumerate(pictures.spread(4)):
        assert abs(kept.seconds - end_s * (index + 0.5) / 4) <= max(end_s / 15, 0.5)
        assert kept.picture[0, 0, 0] == kept.seconds % 256


def test_frames_before_the_start_do_not_count() -> None:
    pictures = SourcePictures()
    pictures(replace(chunk(-5, 5), role=Role.WARM_UP), video_info(2, 2))
    assert pictures.spread(4) == []


def test_a_video_that_is_matted_again_is_kept_once() -> None:
    info, pictures = video_info(2, 2), SourcePictures()
    pictures(chunk(0, 90), info)
    pictures(chunk(0, 9), info)
    assert pictures.spread(4)[-1].seconds <= 9 * float(info.time_base)


def test_large_pictures_are_made_small_in_either_layout() -> None:
    pictures = SourcePictures()
    large = chunk(128, 1, (64, 1920))
    pictures(large, video_info(1920, 64))
    in_planes = SourcePictures()
    planes = replace(large, src=packed(large.src))
    in_planes(planes, replace(video_info(1920, 64), layout=I420(yuv_to_rgb(1, full_range=False))))
    for kept in (pictures.spread(1)[0], in_planes.spread(1)[0]):
        assert kept.picture.shape == (32, 960, 3)
        assert np.abs(kept.picture.astype(int) - 128).max() <= 1
