"""Frames of one request: by the size of the picture, the server's GPU, and shared memory."""

import shutil

import pytest

from rvm_client.matte import frames_per_request, shared_room_bytes
from rvm_client.pixels import I420, RGB, PixelLayout, yuv_to_rgb

PLENTY = 2**34
OF_A_CONTAINER = 64 * 2**20


def frames(
    width: int,
    height: int,
    *,
    on_gpu: bool = True,
    layout: PixelLayout = RGB,
    queue_depth: int = 1,
    room_bytes: int = PLENTY,
) -> int:
    return frames_per_request(
        width,
        height,
        on_gpu=on_gpu,
        layout=layout,
        queue_depth=queue_depth,
        room_bytes=room_bytes,
    )


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
    assert frames(width, height, on_gpu=on_gpu) == expected


def test_less_where_shared_memory_is_small() -> None:
    assert frames(1920, 1080, room_bytes=OF_A_CONTAINER) == 1
    assert frames(1280, 720, room_bytes=OF_A_CONTAINER) == 2


def test_less_where_more_chunks_wait() -> None:
    assert frames(1280, 720, queue_depth=3, room_bytes=OF_A_CONTAINER) == 1


def test_planes_need_less_of_it() -> None:
    layout = I420(yuv_to_rgb(1, full_range=False))
    assert frames(1920, 1080, layout=layout, room_bytes=OF_A_CONTAINER) == 2


@pytest.mark.parametrize("room_bytes", [0, 2**20])
def test_without_room_for_one_frame_messages_are_as_long_as_ever(room_bytes: int) -> None:
    assert frames(1280, 720, on_gpu=False, room_bytes=room_bytes) == 4


def test_jobs_at_once_get_equal_parts_of_shared_memory() -> None:
    whole_bytes = shutil.disk_usage("/dev/shm").total
    for jobs_at_once in (64, 128):
        part_bytes = whole_bytes // jobs_at_once
        assert part_bytes - 2**16 < shared_room_bytes(jobs_at_once) <= part_bytes
