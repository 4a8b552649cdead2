"""Frames of one request: by the size of the picture, the machine, and its shared memory."""

import pytest

from rvm_client.matte import frames_per_request
from rvm_client.pixels import I420, yuv_to_rgb

PLENTY = 2**34


@pytest.mark.parametrize(
    ("width", "height", "on_gpu", "expected"),
    [
        (1920, 1080, False, 2),
        (1920, 1080, True, 4),
        (1080, 1920, False, 2),
        (1280, 720, False, 4),
        (640, 360, False, 8),
        (16, 16, False, 8),
        (3840, 2160, False, 1),
        (3840, 2160, True, 1),
        (7680, 4320, True, 1),
    ],
)
def test_by_the_size_of_the_picture(width: int, height: int, on_gpu: bool, expected: int) -> None:
    found = frames_per_request(width, height, on_gpu=on_gpu, shared_bytes=PLENTY)
    assert found == expected


def test_less_where_shared_memory_is_small() -> None:
    assert frames_per_request(1920, 1080, on_gpu=True, shared_bytes=64 * 2**20) == 1
    assert frames_per_request(1280, 720, on_gpu=True, shared_bytes=64 * 2**20) == 2


def test_planes_need_less_of_it() -> None:
    planes = I420(yuv_to_rgb(1, full_range=False))
    shared_bytes = 64 * 2**20
    found = frames_per_request(1920, 1080, on_gpu=True, layout=planes, shared_bytes=shared_bytes)
    assert found == 2


@pytest.mark.parametrize("shared_bytes", [0, 2**20])
def test_without_room_for_one_frame_messages_are_as_long_as_ever(shared_bytes: int) -> None:
    assert frames_per_request(1280, 720, on_gpu=False, shared_bytes=shared_bytes) == 4
