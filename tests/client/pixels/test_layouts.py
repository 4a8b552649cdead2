"""Pixels in planes mean the same colours as in RGB."""

import numpy as np
import pytest
from tests.support.clips import frame_of, yuv_frame, yuv_of

from rvm_client.pixels import I420, LUMA_WEIGHTS, RGB, UInt8Array, planes, rgb_to_yuv, yuv_to_rgb

CODES = [1, 6, 9]


def colours() -> UInt8Array:
    """All combinations of six levels, [36,6,3]."""
    levels = np.array([0, 51, 102, 153, 204, 255], np.uint8)
    return np.asarray(np.stack(np.meshgrid(levels, levels, levels), -1).reshape(36, 6, 3), np.uint8)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("code", CODES)
def test_matrices_are_those_of_h_273(code: int, full_range: bool) -> None:
    matrix = np.array(rgb_to_yuv(code, full_range=full_range))
    yuv = colours() @ matrix[:, :3].T + matrix[:, 3]
    assert yuv == pytest.approx(yuv_of(colours(), code, full_range=full_range), abs=1e-9)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("code", LUMA_WEIGHTS)
def test_the_way_back(code: int, full_range: bool) -> None:
    there = np.array(rgb_to_yuv(code, full_range=full_range))
    back = np.array(yuv_to_rgb(code, full_range=full_range))
    yuv = colours() @ there[:, :3].T + there[:, 3]
    assert yuv @ back[:, :3].T + back[:, 3] == pytest.approx(colours().astype(float), abs=1e-9)


def test_white_and_black() -> None:
    limited = np.array(rgb_to_yuv(1, full_range=False))
    assert limited[:, :3] @ [255, 255, 255] + limited[:, 3] == pytest.approx([235, 128, 128])
    assert limited[:, 3] == pytest.approx([16, 128, 128])


@pytest.mark.parametrize("size", [(2, 2), (6, 10), (36, 64), (38, 62)])
def test_planes_are_where_encoders_have_them(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    frame = frame_of(picture)
    packed = frame.to_ndarray().astype(np.uint8, copy=False)
    layout = I420(yuv_to_rgb(1, full_range=False))
    assert packed.shape == layout.frame_shape(*size)
    assert layout.size_pixels(packed) == RGB.size_pixels(picture) == size
    luma, chroma = planes(packed)
    assert np.shares_memory(luma, packed)
    assert np.shares_memory(chroma, packed)
    for plane, ours in zip(frame.planes, [luma, *chroma], strict=True):
        theirs = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)
        assert np.array_equal(theirs[:, : plane.width], ours)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("code", CODES)
def test_colours_of_some_pixels(code: int, full_range: bool) -> None:
    picture = colours().repeat(2, axis=0).repeat(2, axis=1)
    samples = yuv_of(picture, code, full_range=full_range)
    frame = yuv_frame(samples, code, full_range=full_range, subsampled=True)
    packed = frame.to_ndarray().astype(np.uint8, copy=False)
    rows, columns = np.array([0, 7, 34, 71]), np.array([0, 5, 6, 11])
    wanted = RGB.rgb_at(picture, rows, columns)
    layout = I420(yuv_to_rgb(code, full_range=full_range))
    # What rounding to 8 bits of YUV leaves.
    assert np.abs(layout.rgb_at(packed, rows, columns) - wanted.astype(float)).max() < 2.5
