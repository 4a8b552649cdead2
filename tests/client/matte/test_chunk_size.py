"""Frames of one request: by the size of the picture, the server's GPU, and shared memory."""

import pytest

from rvm_client.matte import chunk_size
from rvm_client.pixels import I420, RGB, PixelLayout, yuv_to_rgb

PLENTY = 2**34
OF_A_CONTAINER = 64 * 2**20


@pytest.fixture(autouse=True)
def plenty(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, PLENTY)


def give(monkeypatch: pytest.MonkeyPatch, shared_bytes: int) -> None:
    monkeypatch.setattr(chunk_size, "free_bytes", lambda: shared_bytes)


def frames(
    width: int,
    height: int,
    *,
    on_gpu: bool = True,
    layout: PixelLayout = RGB,
    queue_depth: int = 1,
) -> int:
    return chunk_size.frames_per_request(
        width, height, on_gpu=on_gpu, layout=layout, queue_depth=queue_depth
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


def test_less_where_shared_memory_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, OF_A_CONTAINER)
    assert frames(1920, 1080) == 1
    assert frames(1280, 720) == 2


def test_less_where_more_chunks_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, OF_A_CONTAINER)
    assert frames(1280, 720, queue_depth=3) == 1


def test_planes_need_less_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, OF_A_CONTAINER)
    assert frames(1920, 1080, layout=I420(yuv_to_rgb(1, full_range=False))) == 2


@pytest.mark.parametrize("shared_bytes", [0, 2**20])
def test_without_room_for_one_frame_messages_are_as_long_as_ever(
    monkeypatch: pytest.MonkeyPatch, shared_bytes: int
) -> None:
    give(monkeypatch, shared_bytes)
    assert frames(1280, 720, on_gpu=False) == 4
