"""What stands behind the person: colours, images and videos, in the decoded result."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, TiffImagePlugin, TiffTags
from tests.client.encode.test_writer import video_info
from tests.support.clips import index_frame, read_frames, read_index, to_rgb, write_clip
from tests.support.limited import run_limited

from rvm_client.backdrop import open_backdrop
from rvm_client.encode import cover, open_writer
from rvm_client.errors import InputError
from rvm_client.frames import MatteChunk, VideoInfo
from rvm_client.options import Limits, MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pixels import Colour, UInt8Array, parse_colour

WIDTH, HEIGHT = 320, 192


def info(pixel_shape: Fraction = Fraction(1)) -> VideoInfo:
    return VideoInfo(
        width_pixels=WIDTH,
        height_pixels=HEIGHT,
        time_base=Fraction(1, 30_000),
        average_fps=Fraction(30),
        duration_seconds=None,
        frame_count_from_header=None,
        sample_aspect_ratio=pixel_shape,
    )


def quarters(width: int, height: int) -> UInt8Array:
    """Red, green, blue and white quarters, to see how a picture was cut."""
    picture = np.full((height, width, 3), 255, np.uint8)
    picture[: height // 2, : width // 2] = (255, 0, 0)
    picture[: height // 2, width // 2 :] = (0, 255, 0)
    picture[height // 2 :, : width // 2] = (0, 0, 255)
    return picture


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        ("#0a141e", (10, 20, 30)),
        ("#FFFFFF", (255, 255, 255)),
        ("navy", (0, 0, 128)),
        ("RebeccaPurple", (102, 51, 153)),
        ("#12345", None),
        ("#12345g", None),
        ("#fff", None),
        ("rgb(1,2,3)", None),
        ("nocolour", None),
        ("", None),
    ],
)
def test_colours(text: str, colour: Colour | None) -> None:
    assert parse_colour(text) == colour


@pytest.mark.parametrize("size", [(640, 192), (320, 400), (32, 20), (321, 191), (1, 1)])
def test_cover_fills_the_frame_with_the_middle(size: tuple[int, int]) -> None:
    picture = quarters(*size)
    covered = cover(picture, WIDTH, HEIGHT)
    assert covered.shape == (HEIGHT, WIDTH, 3)
    if min(size) > 1:
        for y in (20, HEIGHT - 20):
            for x in (20, WIDTH - 20):
                expected = quarters(WIDTH, HEIGHT)[y, x]
                assert np.abs(covered[y, x].astype(int) - expected).max() <= 1


def test_cover_does_not_distort() -> None:
    y, x = np.mgrid[:600, :900]
    disc = np.repeat((np.hypot(y - 300, x - 450) < 100)[..., np.newaxis] * np.uint8(255), 3, -1)
    covered = cover(disc, WIDTH, HEIGHT)[..., 0] > 127
    assert covered.any(axis=0).sum() == pytest.approx(covered.any(axis=1).sum(), abs=2)
    # Frames whose pixels are shown twice as wide need a disc of half the width.
    narrow = cover(disc, WIDTH, HEIGHT, stretch=0.5)[..., 0] > 127
    assert 2 * narrow.any(axis=0).sum() == pytest.approx(narrow.any(axis=1).sum(), abs=3)


def test_an_image_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it to the right to see it upright
    path = tmp_path / "photo"
    turned = np.rot90(quarters(WIDTH, HEIGHT))
    Image.fromarray(turned).save(path, "PNG", exif=exif)
    with open_backdrop(path, info()) as backdrop:
        assert np.array_equal(backdrop.at(0.0), quarters(WIDTH, HEIGHT))


def test_a_transparent_image_lies_over_black(tmp_path: Path) -> None:
    picture = np.full((HEIGHT, WIDTH, 4), 255, np.uint8)
    picture[:, :160, 3] = 0
    Image.fromarray(picture).save(tmp_path / "logo.png")
    with open_backdrop(tmp_path / "logo.png", info()) as backdrop:
        shown = np.asarray(backdrop.at(0.0))
    assert (shown[:, :160] == 0).all()
    assert (shown[:, 160:] == 255).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"no picture at all", "background"), (b"\x89PNG\r\n\x1a\n broken", "background")],
)
def test_a_file_that_is_no_background_is_named(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "background"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message), open_backdrop(path, info()):
        pass


def test_a_missing_background_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="there is no background file"),
        open_backdrop(tmp_path / "gone.png", info()),
    ):
        pass


def test_an_image_of_too_many_pixels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    Image.new("1", (20_000, 6_000)).save(path)
    with pytest.raises(InputError, match="20000x6000"), open_backdrop(path, info()):
        pass


PUT_BEHIND = """
import sys
from pathlib import Path
from rvm_client.backdrop import open_backdrop
from tests.client.test_backdrop import info
with open_backdrop(Path(sys.argv[1]), info()) as backdrop:
    print(*backdrop.at(0.0)[96, 160])
"""


@pytest.mark.parametrize(
    ("size", "mode", "format_"), [((6300, 6300), "RGBA", "PNG"), ((9900, 9900), "RGB", "JPEG")]
)
def test_the_largest_images_fit_into_memory(
    tmp_path: Path, size: tuple[int, int], mode: str, format_: str
) -> None:
    """Half transparent over black; JPEG is decoded at a fraction of its size."""
    Image.new(mode, size, (200, 100, 50, 128)[: len(mode)]).save(tmp_path / "large", format_)
    run = run_limited(PUT_BEHIND, tmp_path / "large")
    expected = (100, 50, 25) if mode == "RGBA" else (200, 100, 50)
    assert np.abs(np.array([int(part) for part in run.output.split()]) - expected).max() <= 2
    assert run.peak_bytes < 700 << 20


@pytest.mark.parametrize(("kind", "count"), [(TiffTags.ASCII, 1), (TiffTags.LONG8, 2)])
def test_a_tiff_whose_offsets_are_of_another_type_is_a_broken_image(
    tmp_path: Path, kind: int, count: int
) -> None:
    """Pillow takes what it finds for a number of its size."""
    path = tmp_path / "odd.tif"
    Image.fromarray(quarters(HEIGHT, WIDTH)).save(path)
    offsets = struct.pack("<HHI", TiffImagePlugin.STRIPOFFSETS, TiffTags.LONG, 1)
    assert path.read_bytes().count(offsets) == 1
    odd = struct.pack("<HHI", TiffImagePlugin.STRIPOFFSETS, kind, count)
    path.write_bytes(path.read_bytes().replace(offsets, odd))
    with pytest.raises(InputError, match="broken image"), open_backdrop(path, info()):
        pass


def test_a_png_without_its_palette_is_a_broken_image(tmp_path: Path) -> None:
    path = tmp_path / "odd.png"
    Image.fromarray(quarters(WIDTH, HEIGHT)).convert("P").save(path)
    content = path.read_bytes()
    start = content.index(b"PLTE") - 4
    # Its length, its name and a checksum lie around it.
    length = 12 + int.from_bytes(content[start : start + 4], "big")
    path.write_bytes(content[:start] + content[start + length :])
    with pytest.raises(InputError, match="broken image"), open_backdrop(path, info()):
        pass


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    """Ten frames at ten frames a second: one second that plays again and again."""
    pictures = [index_frame(i, WIDTH, HEIGHT) for i in range(10)]
    return write_clip(tmp_path / "loop.mp4", pictures, rate=Fraction(10))


def test_a_background_video_runs_by_time_and_loops(loop: Path) -> None:
    with open_backdrop(loop, info()) as backdrop:
        shown = [read_index(np.asarray(backdrop.at(i * 1001 / 30_000))) for i in range(75)]
    assert shown == [int(i * 1001 / 30_000 * 10) % 10 for i in range(75)]


def loop_of(path: Path, frames: int, fps: int) -> Path:
    pictures = [index_frame(i, WIDTH, HEIGHT) for i in range(frames)]
    time_base = Fraction(1, 90_000)
    return write_clip(path, pictures, rate=Fraction(fps), time_base=time_base)


@pytest.mark.parametrize(("frames", "fps"), [(1, 90_000), (3, 90_000), (1, 30)])
def test_a_background_video_of_a_moment_stays(tmp_path: Path, frames: int, fps: int) -> None:
    """It is not opened tens of thousands of times a second."""
    with open_backdrop(loop_of(tmp_path / "loop.mp4", frames, fps), info()) as backdrop:
        shown = [read_index(np.asarray(backdrop.at(float(s)))) for s in (0, 1, 1000, 1e9)]
    assert shown == [0, *[frames - 1] * 3]


def test_a_background_video_of_absurdly_many_frames_is_refused(tmp_path: Path) -> None:
    loop = loop_of(tmp_path / "loop.mp4", 600, 1000)
    with open_backdrop(loop, info()) as backdrop:
        backdrop.at(0.2)
        with pytest.raises(InputError, match="more than 480 frames a second"):
            backdrop.at(0.6)


def test_the_limits_hold_for_a_background_video(loop: Path) -> None:
    limits = Limits(max_frame_pixels=100 * 100)
    with pytest.raises(InputError, match="10000"), open_backdrop(loop, info(), limits):
        pass


def test_a_faster_background_video_leaves_frames_out(loop: Path) -> None:
    with open_backdrop(loop, info()) as backdrop:
        assert [read_index(np.asarray(backdrop.at(float(s)))) for s in (0, 0.35, 2.75)] == [0, 3, 7]


@pytest.mark.parametrize("kind", ["colour", "image", "video"])
def test_the_background_is_in_the_file(tmp_path: Path, loop: Path, kind: str) -> None:
    """The person covers the left half; every frame's background is that of its time."""
    Image.fromarray(index_frame(5, WIDTH, HEIGHT)).save(tmp_path / "image.png")
    background = {"colour": (10, 20, 200), "image": tmp_path / "image.png", "video": loop}[kind]
    fgr = np.full((30, HEIGHT, WIDTH, 3), (200, 30, 30), np.uint8)
    pha = np.zeros((30, HEIGHT, WIDTH), np.uint8)
    pha[:, 64:, :160] = 255
    target = tmp_path / "out.mp4"
    assert isinstance(background, Path | tuple)
    with (
        open_backdrop(background, info()) as backdrop,
        open_writer(target, MatteOptions(), info(), backdrop=backdrop) as writer,
    ):
        # The clock of the source need not start at zero.
        pts = tuple(7_000_000 + 1000 * i for i in range(30))
        writer.write(MatteChunk(fgr, pha, pts))
    pictures = [to_rgb(frame) for frame in read_frames(target)]
    for picture in pictures:
        assert np.abs(picture[100:, 20:140].astype(int) - (200, 30, 30)).max() <= 3
    if kind == "colour":
        assert np.abs(pictures[9][:, 180:].astype(int) - (10, 20, 200)).max() <= 3
    else:
        expected = [5] * 30 if kind == "image" else [i // 3 for i in range(30)]
        assert [read_index(picture) for picture in pictures] == expected


@pytest.mark.parametrize("size", [(321, 193)])
def test_a_background_fits_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.fromarray(quarters(100, 100)).save(tmp_path / "image.png")
    odd = video_info(*size)
    nothing = MatteChunk(
        np.zeros((1, size[1], size[0], 3), np.uint8),
        np.zeros((1, size[1], size[0]), np.uint8),
        (0,),
    )
    target = tmp_path / "out.mp4"
    with (
        open_backdrop(tmp_path / "image.png", odd) as backdrop,
        open_writer(target, MatteOptions(OutputType.GREENSCREEN), odd, backdrop=backdrop) as writer,
    ):
        writer.write(nothing)
    (frame,) = read_frames(target)
    assert isinstance(frame, av.VideoFrame)
    assert (frame.width, frame.height) == (322, 194)
    assert np.abs(to_rgb(frame)[20, 20].astype(int) - (255, 0, 0)).max() <= 6
