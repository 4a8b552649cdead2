"""Cuts are found at their frame and nowhere else; warm-ups change no frame of the video."""

import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, product

import numpy as np
import pytest
from PIL import Image
from tests.support.clips import frame_of

from rvm_client.frames import Role, SourceChunk
from rvm_client.pixels import I420, RGB, PixelLayout, UInt8Array, yuv_to_rgb
from rvm_client.scenes import with_warm_up
from rvm_client.scenes.cuts import CutDetector
from rvm_client.scenes.warm_up import WARM_UP_FRAMES

HEIGHT, WIDTH = 72, 128


@cache
def place(seed: int) -> UInt8Array:
    """A wide picture of soft shapes, like no other seed's, [H,8*W,3]."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 80, 3), np.uint8)
    size = (8 * WIDTH, HEIGHT)
    return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))


def scene(seed: int, frames: int, *, step_pixels: int = 1) -> list[UInt8Array]:
    """A camera that pans over a place, `step_pixels` a frame."""
    picture = place(seed)
    return [np.roll(picture, -i * step_pixels, axis=1)[:, :WIDTH] for i in range(frames)]


def gained(picture: UInt8Array, gain: float, offset: float = 0.0) -> UInt8Array:
    return np.clip(picture * gain + offset, 0, 255).astype(np.uint8)


def mixed(a: UInt8Array, b: UInt8Array, share_of_b: float) -> UInt8Array:
    return (a * (1 - share_of_b) + b * share_of_b).astype(np.uint8)


def find_cuts(pictures: Sequence[UInt8Array], layout: PixelLayout = RGB) -> list[int]:
    detector = CutDetector(layout)
    answers = list(chain.from_iterable(map(detector.push, pictures)))
    answers += detector.finish()
    assert len(answers) == len(pictures)
    return [index for index, cut in enumerate(answers) if cut]


@pytest.mark.parametrize("cut", [1, 2, 5, 12, 20, 38, 39])
@pytest.mark.parametrize("seeds", [(1, 2), (3, 4)])
def test_a_cut_is_found_at_its_frame(cut: int, seeds: tuple[int, int]) -> None:
    assert find_cuts(scene(seeds[0], cut) + scene(seeds[1], 40 - cut)) == [cut]


def test_a_cut_is_found_in_the_dark_and_between_fast_scenes() -> None:
    clip = scene(1, 10, step_pixels=4) + scene(2, 10, step_pixels=4)
    assert find_cuts(clip) == [10]
    assert find_cuts([gained(picture, 0.35) for picture in clip]) == [10]


def test_cuts_near_each_other_are_all_found() -> None:
    clip = scene(1, 10) + scene(2, 3) + scene(3, 3) + scene(4, 10)
    assert find_cuts(clip) == [10, 13, 16]


def test_a_cut_through_a_white_frame_is_found() -> None:
    white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    assert find_cuts([*scene(1, 10), white, *scene(2, 10)]) == [11]


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("kind", ["white", "black", "bright", "inverted", "other picture"])
def test_a_flash_is_no_cut(frames: int, kind: str) -> None:
    flashes: dict[str, Callable[[UInt8Array], UInt8Array]] = {
        "white": lambda picture: np.full_like(picture, 255),
        "black": lambda picture: np.zeros_like(picture),
        "bright": lambda picture: gained(picture, 2, 60),
        "inverted": np.invert,
        "other picture": lambda _: place(9)[:, :WIDTH],
    }
    clip = scene(1, 30)
    clip[12 : 12 + frames] = [flashes[kind](picture) for picture in clip[12 : 12 + frames]]
    assert find_cuts(clip) == []


def test_light_that_changes_for_good_is_no_cut() -> None:
    clip = scene(1, 30)
    assert find_cuts(clip[:15] + [gained(picture, 0.5, 10) for picture in clip[15:]]) == []


def test_a_strobe_is_no_cut() -> None:
    clip = scene(1, 40)
    assert find_cuts([gained(p, 2, 40) if i // 2 % 2 else p for i, p in enumerate(clip)]) == []


@pytest.mark.parametrize("frames", [4, 8, 24])
def test_a_fade_is_no_cut(frames: int) -> None:
    shares = [i / (frames + 1) for i in range(frames + 2)]
    a, b = scene(1, 10 + len(shares)), scene(2, 10 + len(shares))
    fade = [mixed(a[10 + i], b[i], share) for i, share in enumerate(shares)]
    assert find_cuts(a[:10] + fade + b[len(shares) :]) == []
    black = np.zeros_like(a[0])
    down = [mixed(a[10 + i], black, share) for i, share in enumerate(shares)]
    assert find_cuts([*a[:10], *down, black, black, *down[::-1], *a[9::-1]]) == []


@pytest.mark.parametrize("step_pixels", [4, 8, 16, 32])
def test_a_fast_pan_is_no_cut(step_pixels: int) -> None:
    assert find_cuts(scene(1, 40, step_pixels=step_pixels)) == []


def test_a_whip_pan_is_no_cut() -> None:
    speed = np.concatenate([np.zeros(10), 40 * np.sin(np.linspace(0, np.pi, 10)), np.zeros(10)])
    offsets = np.cumsum(speed).astype(int)
    clip = [np.roll(place(1), -offset, axis=1)[:, :WIDTH] for offset in offsets]
    assert find_cuts(clip) == []


def test_motion_in_repeated_frames_is_no_cut() -> None:
    """Twelve pictures a second made into thirty: each is there two or three times."""
    pictures = scene(1, 24, step_pixels=12)
    repeated = [picture for i, picture in enumerate(pictures[4:]) for _ in range(2 + i % 2)]
    assert find_cuts(pictures[:4] + repeated) == []


def test_noise_is_no_cut() -> None:
    rng = np.random.default_rng(0)
    clip = [gained(p + rng.normal(0, 30, p.shape), 1) for p in scene(1, 40)]
    assert find_cuts(clip) == []


def in_planes(picture: UInt8Array) -> UInt8Array:
    return np.asarray(frame_of(picture).to_ndarray(), np.uint8)


@pytest.mark.parametrize(
    "clip",
    [
        scene(1, 10) + scene(2, 3) + scene(3, 3) + scene(4, 10),
        [gained(p, 0.35) for p in scene(1, 10, step_pixels=4) + scene(2, 10, step_pixels=4)],
        [*scene(1, 10), np.full((HEIGHT, WIDTH, 3), 255, np.uint8), *scene(1, 10)],
        scene(1, 20, step_pixels=16),
        # A red place and a blue one.
        [p // 4 + np.array([120, 10, 10], np.uint8) for p in scene(1, 8)]
        + [p // 4 + np.array([10, 10, 180], np.uint8) for p in scene(2, 8)],
    ],
    ids=["cuts", "dark", "flash", "pan", "colour"],
)
def test_planes_have_the_same_cuts(clip: list[UInt8Array]) -> None:
    layout = I420(yuv_to_rgb(1, full_range=False))
    assert find_cuts([in_planes(picture) for picture in clip], layout) == find_cuts(clip)


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (33, 17), (200, 100)])
def test_any_picture_size_will_do(shape: tuple[int, int]) -> None:
    dark, light = (np.full((*shape, 3), value, np.uint8) for value in (20, 220))
    assert find_cuts([dark] * 5 + [light] * 5) == [5]


def clip_of(cuts: Sequence[int], frames: int) -> UInt8Array:
    borders = [0, *cuts, frames]
    parts = [scene(i, end - borders[i]) for i, end in enumerate(borders[1:])]
    return np.stack(list(chain.from_iterable(parts)))


def chunked(
    clip: UInt8Array, frames_per_chunk: int, *, lead_frames: int = 0
) -> Iterator[SourceChunk]:
    """The chunks of a clip at uneven times; the first frames are there for a warm start."""
    pts = [1001 * i + (300 if i % 3 else 0) for i in range(len(clip))]
    parts = ((0, lead_frames, Role.WARM_UP), (lead_frames, len(clip), Role.FRAMES))
    for first, last, role in parts:
        for start in range(first, last, frames_per_chunk):
            end = min(start + frames_per_chunk, last)
            yield SourceChunk(clip[start:end], tuple(pts[start:end]), role)


def frames_of(chunks: Sequence[SourceChunk], role: Role) -> list[tuple[int, UInt8Array]]:
    chosen = [chunk for chunk in chunks if chunk.role is role]
    return [frame for chunk in chosen for frame in zip(chunk.pts, chunk.src, strict=True)]


def same(a: list[tuple[int, UInt8Array]], b: list[tuple[int, UInt8Array]]) -> bool:
    return [pts for pts, _ in a] == [pts for pts, _ in b] and all(
        np.array_equal(x, y) for (_, x), (_, y) in zip(a, b, strict=True)
    )


CUTS = [(), (1,), (8,), (9,), (11,), (12,), (39,), (8, 16), (10, 13), (16, 24, 27, 30)]


@dataclass(frozen=True)
class WarmedUp:
    """A clip of 40 frames, and what became of it."""

    cuts: tuple[int, ...]
    frames_per_chunk: int
    source: list[tuple[int, UInt8Array]]
    chunks: list[SourceChunk]
    found: list[int]


@pytest.fixture(scope="module", params=product(CUTS, [1, 3, 8, 64]), ids=str)
def warmed_up(request: pytest.FixtureRequest) -> WarmedUp:
    cuts, frames_per_chunk = request.param
    before, found = list(chunked(clip_of(cuts, 40), frames_per_chunk)), list[int]()
    after = list(with_warm_up(before, frames_per_chunk=frames_per_chunk, on_cut=found.append))
    return WarmedUp(cuts, frames_per_chunk, frames_of(before, Role.FRAMES), after, found)


def test_the_video_stays_as_it_is(warmed_up: WarmedUp) -> None:
    source, chunks = warmed_up.source, warmed_up.chunks
    assert same(frames_of(chunks, Role.FRAMES), source)
    assert warmed_up.found == [source[cut][0] for cut in warmed_up.cuts]
    assert max(len(chunk.pts) for chunk in chunks) <= warmed_up.frames_per_chunk


def test_each_scene_starts_with_its_first_frames_backwards(warmed_up: WarmedUp) -> None:
    source, chunks = warmed_up.source, warmed_up.chunks
    starts = [i for i, chunk in enumerate(chunks) if chunk.resets_state]
    borders = [0, *warmed_up.cuts, 40]
    assert len(starts) == len(warmed_up.cuts) + 1
    for i, start in enumerate(starts):
        of_scene = chunks[start : starts[i + 1] if i < len(warmed_up.cuts) else None]
        frames = source[borders[i] : borders[i + 1]]
        warm_up = frames[:WARM_UP_FRAMES][::-1]
        assert same(frames_of(of_scene, Role.WARM_UP), warm_up)
        assert same(frames_of(of_scene, Role.FRAMES), frames)
        requests = -(-len(warm_up) // warmed_up.frames_per_chunk)
        assert [c.role for c in of_scene].index(Role.FRAMES) == requests
    assert len(frames_of(chunks, Role.WARM_UP)) <= len(source)


@pytest.mark.parametrize("frames_per_chunk", [1, 4, 8])
def test_few_frames_are_held(frames_per_chunk: int) -> None:
    """Counts the chunks that are still in memory whenever one comes out."""
    alive: list[int] = []

    def source() -> Iterator[SourceChunk]:
        picture = place(1)[:, :WIDTH]
        for index in range(0, 400, frames_per_chunk):
            # A cut every 80 frames.
            src = np.stack([picture if index // 80 % 2 else 255 - picture] * frames_per_chunk)
            alive.append(index)
            weakref.finalize(src, alive.remove, index)
            yield SourceChunk(src, tuple(range(index, index + frames_per_chunk)))

    most = 0
    for _ in with_warm_up(source(), frames_per_chunk=frames_per_chunk):
        most = max(most, len(alive) * frames_per_chunk)
    assert frames_per_chunk < most < WARM_UP_FRAMES + 2 * frames_per_chunk + 2


@pytest.mark.parametrize("frames_per_chunk", [1, 4, 8, 64])
@pytest.mark.parametrize("lead_frames", [3, 12, 15])
def test_frames_before_a_trimmed_start_are_the_warm_up(
    frames_per_chunk: int, lead_frames: int
) -> None:
    clip = clip_of((), 40)
    source = list(chunked(clip, frames_per_chunk, lead_frames=lead_frames))
    chunks = list(with_warm_up(source, frames_per_chunk=frames_per_chunk))
    assert same(frames_of(chunks, Role.FRAMES), frames_of(source, Role.FRAMES))
    warm_up = frames_of(chunks, Role.WARM_UP)
    lead = frames_of(source, Role.WARM_UP)
    assert same(warm_up[-lead_frames:], lead)
    assert chunks[0].resets_state
    assert not any(chunk.resets_state for chunk in chunks[1:])
    if lead_frames >= WARM_UP_FRAMES:
        assert len(warm_up) == lead_frames


@pytest.mark.parametrize("frames_per_chunk", [1, 4, 8])
@pytest.mark.parametrize("cut", [4, 14, 15, 16])
def test_a_cut_near_a_trimmed_start_is_warmed_up_for(frames_per_chunk: int, cut: int) -> None:
    clip = clip_of((cut,), 40)
    source = list(chunked(clip, frames_per_chunk, lead_frames=15))
    chunks = list(with_warm_up(source, frames_per_chunk=frames_per_chunk))
    assert same(frames_of(chunks, Role.FRAMES), frames_of(source, Role.FRAMES))
    every_frame = frames_of(source, Role.WARM_UP) + frames_of(source, Role.FRAMES)
    new_scene = [i for i, chunk in enumerate(chunks) if chunk.resets_state][-1]
    warm_up = frames_of(chunks[new_scene:], Role.WARM_UP)
    assert same(warm_up[:12], every_frame[cut : cut + 12][::-1])


def test_an_error_of_the_source_goes_through() -> None:
    def source() -> Iterator[SourceChunk]:
        yield from chunked(clip_of((), 20), 4)
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        list(with_warm_up(source(), frames_per_chunk=4))


def test_no_frames_make_no_chunks() -> None:
    assert list(with_warm_up([], frames_per_chunk=4)) == []
