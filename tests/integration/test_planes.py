"""The YUV model beside the RGB model: the same results, and RGB wherever planes do not fit."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from unittest import mock

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from tests.support.clips import (
    alpha_plane,
    frame_of,
    packed,
    read_frames,
    to_rgb,
    write_clip,
    write_frames,
)
from tests.support.servers import shared_server
from tritonclient.grpc import model_config_pb2

from rvm_client.errors import ServerError
from rvm_client.frames import SourceChunk
from rvm_client.matte import ChunkShape, MattingModel, check_golden_frames
from rvm_client.matte.connection import Connection
from rvm_client.options import MatteOptions
from rvm_client.output_types import FileRole, OutputType
from rvm_client.pipeline import MatteResult, matte_video
from rvm_client.pixels import I420, RGB, PixelLayout, UInt8Array, composite, yuv_to_rgb
from rvm_client.server import ServerOptions, TritonServer
from rvm_client.stopwatch import Stopwatch
from rvm_client.wire import MODEL_NAME, YUV_MODEL_NAME
from rvm_export.verify.goldens import INT8_CASES

BT709, BT601 = 1, 6
RATIO = 0.5
SCENE_FRAMES = 13
# What the planes of a source mean and what becomes of the mattes are independent of each other, so
# neither the matrices and ranges nor those and the types of output are tried in all combinations.
COLOURS = [(BT709, False), (BT601, True)]
KEPT_COLOURS = [
    (OutputType.ALPHA, BT709, False),
    (OutputType.ALPHA, BT601, True),
    (OutputType.GREENSCREEN, BT709, True),
    (OutputType.GREENSCREEN, BT601, False),
]
# Colour with its alpha, colour beside its alpha. `test_backgrounds` has the green screen, and
# tests/client/encode/test_planar_frames.py has the file of every type.
WHOLE_TYPES = [OutputType.ALPHA, OutputType.FOREGROUND_AND_MATTE]
DECODERS = {OutputType.ALPHA: "libvpx-vp9"}


@pytest.fixture(scope="module")
def both_url(yuv_model_repository: Path, backend_cache: Path) -> Iterator[str]:
    """A server of both models."""
    options = ServerOptions(
        yuv_model_repository, cache_dir=backend_cache, threads=1, exit_timeout_s=0
    )
    with shared_server(options) as server:
        yield server.grpc_url


@contextmanager
def as_on_gpu(url: str) -> Iterator[MattingModel]:
    """The models, of which the client believes that they run on a GPU: it sends planes."""
    group = model_config_pb2.ModelInstanceGroup(kind="KIND_GPU")
    config = model_config_pb2.ModelConfig(instance_group=[group])
    with mock.patch.object(Connection, "config", return_value=config):
        connected = MattingModel(url)
    with connected as model:
        yield model


@pytest.fixture
def both(both_url: str) -> Iterator[MattingModel]:
    with as_on_gpu(both_url) as model:
        yield model


@pytest.fixture
def rgb_only(both_url: str) -> Iterator[MattingModel]:
    """The same server as it is used without a GPU: it gets RGB."""
    with MattingModel(both_url) as model:
        yield model


@pytest.fixture(scope="module")
def portrait() -> UInt8Array:
    """A person before a camera that sways, [T,H,W,3]."""
    picture = INT8_CASES[0].src[0]
    angles = np.linspace(0, 2 * np.pi, SCENE_FRAMES)
    offsets = [(round(16 + 15 * np.cos(a)), round(32 + 30 * np.sin(a))) for a in angles]
    return np.stack([picture[y : y + 254, x : x + 446] for y, x in offsets])


@pytest.fixture(scope="module")
def clip(portrait: UInt8Array, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes, the second one mirrored and darker, at uneven times."""
    mirrored = np.asarray(portrait[:, :, ::-1] // 2, np.uint8, order="C")
    frames = [*portrait, *mirrored]
    pts = [1001 * i + (400 if i % 3 == 1 else 0) for i in range(len(frames))]
    path = tmp_path_factory.mktemp("clips") / "two_scenes.mp4"
    return write_clip(path, frames, pts=pts, rate=Fraction(30_000, 1001))


def apart(a: npt.NDArray[np.generic], b: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    difference: npt.NDArray[np.float64] = np.abs(a.astype(np.float64) - b.astype(np.float64))
    return difference


def in_rgb(frames: UInt8Array, layout: I420) -> UInt8Array:
    """What the model makes of planes, [T,H,W,3]."""
    rows, columns = np.arange(frames.shape[1] * 2 // 3), np.arange(frames.shape[2])
    rgb = np.stack([layout.rgb_at(frame, rows, columns) for frame in frames])
    return np.asarray(np.floor(rgb + 0.5), np.uint8)


def mattes(
    model: MattingModel, frames: UInt8Array, layout: PixelLayout, shape: ChunkShape | None = None
) -> tuple[str, UInt8Array, UInt8Array]:
    """The transport's name, and fgr and pha of a whole video, two frames a request."""
    parts = [SourceChunk(frames[i : i + 2], tuple(range(i, i + 2))) for i in range(0, 8, 2)]
    with model.session(RATIO, shape, layout) as session:
        found = [
            (chunk.fgr.copy(), chunk.pha.copy())
            for chunk in session.matte_all(session.staged(parts), Stopwatch())
        ]
        name = session.transport_name
    fgr, pha = zip(*found, strict=True)
    return name, np.concatenate(fgr), np.concatenate(pha)


@pytest.mark.parametrize(("matrix", "full_range"), COLOURS)
def test_planes_give_what_their_rgb_gives(
    both: MattingModel, portrait: UInt8Array, matrix: int, full_range: bool
) -> None:
    """Whatever the planes of the source mean; those of the result are BT.709, limited range."""
    layout = I420(yuv_to_rgb(matrix, full_range=full_range))
    frames = packed(portrait[:8], matrix, full_range=full_range)
    shape = ChunkShape(2, *portrait.shape[1:3])
    name, shared_fgr, shared_pha = mattes(both, frames, layout, shape)
    assert name == "shared memory"
    name, fgr, pha = mattes(both, frames, layout)
    assert name == "gRPC"
    assert np.array_equal(fgr, shared_fgr)
    assert np.array_equal(pha, shared_pha)
    _, rgb_fgr, rgb_pha = mattes(both, in_rgb(frames, layout), RGB)
    # A byte of RGB that rounds otherwise moves the alpha of a hair by more than itself.
    assert apart(pha, rgb_pha).mean() < 0.05
    assert np.quantile(apart(pha, rgb_pha), 0.999) <= 2
    assert apart(fgr, packed(rgb_fgr)).mean() < 0.1
    assert np.quantile(apart(fgr, packed(rgb_fgr)), 0.999) <= 2


def shown(frame: av.VideoFrame) -> UInt8Array:
    """Over grey where it has alpha."""
    if len(frame.format.components) < 4:
        return to_rgb(frame)
    alpha = np.rint(alpha_plane(frame)).astype(np.uint8)
    return composite(to_rgb(frame), alpha, (128, 128, 128))


@pytest.mark.parametrize("output_type", WHOLE_TYPES)
def test_the_files_are_those_of_rgb(
    both: MattingModel, rgb_only: MattingModel, clip: Path, tmp_path: Path, output_type: OutputType
) -> None:
    """Frames, times, cuts, warm starts and all."""
    assert both.takes_planes()
    assert not rgb_only.takes_planes()
    options = MatteOptions(output_type, RATIO)
    ours, usual = (
        matte_video(clip, tmp_path / f"{name}{output_type.suffix}", model, options)
        for name, model in (("yuv", both), ("rgb", rgb_only))
    )
    assert (ours.pixel_layout, usual.pixel_layout) == ("I420", "RGB")
    assert (ours.transport, ours.model_version) == ("shared memory", "1")
    for attribute in ("frames", "warm_up_frames", "cuts", "width_pixels", "height_pixels"):
        assert getattr(ours, attribute) == getattr(usual, attribute)
    assert (ours.cuts, ours.warm_up_frames) == (1, 24)
    assert ours.files.keys() == usual.files.keys()
    for role in ours.files:
        assert_alike(ours.files[role], usual.files[role], output_type, role)


def assert_alike(ours: Path, usual: Path, output_type: OutputType, role: FileRole) -> None:
    decoder = DECODERS.get(output_type)
    pairs = zip(
        read_frames(ours, decoder=decoder), read_frames(usual, decoder=decoder), strict=True
    )
    for a, b in pairs:
        assert a.time == b.time
        assert (a.width, a.height, a.format.name) == (b.width, b.height, b.format.name)
        assert (a.colorspace, a.color_range) == (b.colorspace, b.color_range)
        if decoder:
            alphas = alpha_plane(a), alpha_plane(b)
            assert apart(*alphas).mean() < 0.5
            opaque = np.minimum(*alphas) == 255
            # The usual conversion on the way in is up to 3 levels off.
            assert apart(to_rgb(a)[opaque], to_rgb(b)[opaque]).mean() < 3
        # Beyond the edge the foreground is what each encoder makes of it.
        if output_type is not OutputType.FOREGROUND_AND_MATTE or role is FileRole.MATTE:
            assert apart(shown(a), shown(b)).mean() < 2


def test_both_models_give_their_golden_frames(
    both_url: str, yuv_model_repository: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = tmp_path / "repository"
    shutil.copytree(yuv_model_repository, damaged)
    golden = damaged / YUV_MODEL_NAME / "1" / "golden.npz"
    with MattingModel(both_url) as model:
        check_golden_frames(model, yuv_model_repository)
        assert not caplog.records
        golden.write_bytes(golden.read_bytes()[:1000])
        with pytest.raises(ServerError, match=r"golden\.npz is damaged; export"):
            check_golden_frames(model, damaged)
        golden.unlink()
        check_golden_frames(model, damaged)
        assert f"The model {YUV_MODEL_NAME}, version 1, has no golden frame" in caplog.text


def test_a_server_without_a_gpu_gets_rgb(both_url: str, clip: Path, tmp_path: Path) -> None:
    options = MatteOptions(OutputType.ALPHA, RATIO, warm_start=False)
    with MattingModel(both_url) as model:
        assert not model.takes_planes()
        result = matte_video(clip, tmp_path / "out.webm", model, options)
    assert result.pixel_layout == "RGB"


def test_another_machine_gets_planes_too(both_url: str, clip: Path, tmp_path: Path) -> None:
    """By an address of this machine that is not a loopback one by its spelling."""
    port = both_url.rpartition(":")[2]
    options = MatteOptions(OutputType.ALPHA, RATIO, warm_start=False)
    with as_on_gpu(f"0.0.0.0:{port}") as model:
        far = matte_video(clip, tmp_path / "far.webm", model, options)
    with as_on_gpu(both_url) as model:
        near = matte_video(clip, tmp_path / "near.webm", model, options)
    assert (far.transport, far.pixel_layout) == ("gRPC", "I420")
    assert (near.transport, near.pixel_layout) == ("shared memory", "I420")
    pairs = zip(read_frames(far.path), read_frames(near.path), strict=True)
    assert all(np.array_equal(a.to_ndarray(), b.to_ndarray()) for a, b in pairs)


@pytest.mark.parametrize(("output_type", "matrix", "full_range"), KEPT_COLOURS)
def test_colours_of_the_source_are_kept(
    both: MattingModel,
    portrait: UInt8Array,
    tmp_path: Path,
    output_type: OutputType,
    matrix: int,
    full_range: bool,
) -> None:
    """A person in strong colours: what is opaque in the result looks as it did."""
    tinted = portrait[:4].astype(np.float64) * (1.0, 0.75, 0.5) + (0, 20, 60)
    pictures = np.clip(tinted, 0, 255).astype(np.uint8)
    frames = [
        av.VideoFrame.from_ndarray(packed(p, matrix, full_range=full_range), format="yuv420p")
        for p in pictures
    ]
    for frame in frames:
        frame.colorspace, frame.color_range = matrix, 2 if full_range else 1
    source = write_frames(tmp_path / "clip.mkv", frames, options={"crf": "4"})
    target = tmp_path / f"out{output_type.suffix}"
    result = matte_video(source, target, both, MatteOptions(output_type, RATIO))
    assert result.pixel_layout == "I420"
    *_, last = read_frames(target, decoder=DECODERS.get(output_type))
    expected, inside = person_in(both, pictures[-1])
    # swscale's way to RGB rounds down, which is as much as is to be seen here.
    planes = np.asarray(last.reformat(format="yuv420p").to_ndarray(), np.uint8)
    (seen,) = in_rgb(planes[np.newaxis], I420(yuv_to_rgb(BT709, full_range=False)))
    error = seen[inside].astype(int) - expected[inside]
    assert np.abs(error.mean(axis=0)).max() < 1
    # What the encoder leaves of texture.
    assert np.abs(error).mean() < 5


def person_in(model: MattingModel, picture: UInt8Array) -> tuple[UInt8Array, npt.NDArray[np.bool_]]:
    """The foreground that the RGB model finds, and where it is the person, far from every edge."""
    src = picture[np.newaxis, np.newaxis]
    fgr, pha, _ = model.infer(src, model.start_states(), RATIO)
    inside: npt.NDArray[np.bool_] = pha[0, 0, ..., 0] == 255
    for _ in range(8):
        inside = inside & np.roll(inside, 1, 0) & np.roll(inside, 1, 1)
        inside = inside & np.roll(inside, -1, 0) & np.roll(inside, -1, 1)
    assert inside.sum() > 1000
    return fgr[0, 0], inside


@pytest.mark.parametrize("kind", ["image", "video"])
def test_backgrounds(
    both: MattingModel, rgb_only: MattingModel, clip: Path, tmp_path: Path, kind: str
) -> None:
    background = clip
    if kind == "image":
        background = tmp_path / "image.png"
        Image.fromarray(INT8_CASES[0].src[0][:100, :200]).save(background)
    options = MatteOptions(OutputType.GREENSCREEN, RATIO, background=background, end_seconds=0.3)
    ours = matte_video(clip, tmp_path / "yuv.mp4", both, options)
    usual = matte_video(clip, tmp_path / "rgb.mp4", rgb_only, options)
    assert (ours.pixel_layout, usual.pixel_layout) == ("I420", "RGB")
    assert_alike(ours.path, usual.path, OutputType.GREENSCREEN, FileRole.OUTPUT)


def test_a_video_that_changes_on_its_way(
    both: MattingModel, rgb_only: MattingModel, portrait: UInt8Array, tmp_path: Path
) -> None:
    """It begins in BT.709 and goes on in BT.601 of full range."""
    parts = [
        [frame_of(picture) for picture in portrait[:6]],
        [frame_of(picture, matrix=BT601, color_range=2) for picture in portrait[6:]],
    ]
    path = tmp_path / "joined.h264"
    for index, frames in enumerate(parts):
        part = write_frames(tmp_path / f"{index}.h264", frames, options={"crf": "4"})
        with path.open("ab") as file:
            file.write(part.read_bytes())
    options = MatteOptions(OutputType.ALPHA, RATIO)
    ours = matte_video(path, tmp_path / "yuv.webm", both, options)
    usual = matte_video(path, tmp_path / "rgb.webm", rgb_only, options)
    assert (ours.pixel_layout, ours.frames, ours.cuts) == ("I420", SCENE_FRAMES, 0)
    assert_alike(ours.path, usual.path, OutputType.ALPHA, FileRole.OUTPUT)


def odd(folder: Path, portrait: UInt8Array) -> Path:
    frames = [frame_of(picture[:-1, :-1].copy()) for picture in portrait[:3]]
    return write_frames(folder / "clip.mkv", frames, codec="ffv1")


def turned(folder: Path, portrait: UInt8Array) -> Path:
    frames = [frame_of(picture) for picture in portrait[:3]]
    return write_frames(folder / "clip.mp4", frames, turned_degrees=90)


def of_10_bits(folder: Path, portrait: UInt8Array) -> Path:
    frames = [frame_of(picture, "yuv420p10le") for picture in portrait[:3]]
    return write_frames(folder / "clip.mp4", frames)


def plain(folder: Path, portrait: UInt8Array) -> Path:
    return write_clip(folder / "clip.mp4", list(portrait[:3]))


UNFIT: dict[str, tuple[Callable[[Path, UInt8Array], Path], OutputType, dict[str, object]]] = {
    "odd size": (odd, OutputType.ALPHA, {}),
    "turned": (turned, OutputType.ALPHA, {}),
    "10 bits": (of_10_bits, OutputType.ALPHA, {}),
    "ProRes": (plain, OutputType.ALPHA_PRORES, {}),
    "PNG": (plain, OutputType.PNG_SEQUENCE, {}),
    "quality": (plain, OutputType.ALPHA, {"prefer_quality": True}),
    "scaled": (plain, OutputType.ALPHA, {"max_width_pixels": 222}),
    "preview": (plain, OutputType.ALPHA, {"preview": Path("preview.png")}),
}


@pytest.mark.parametrize(("make", "output_type", "flags"), UNFIT.values(), ids=UNFIT)
def test_what_does_not_fit_is_rgb(
    both: MattingModel,
    portrait: UInt8Array,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Path, UInt8Array], Path],
    output_type: OutputType,
    flags: dict[str, object],
) -> None:
    monkeypatch.chdir(tmp_path)
    options = MatteOptions(output_type, RATIO, **flags)  # type: ignore[arg-type]
    target = tmp_path / f"out{output_type.suffix}"
    result: MatteResult = matte_video(make(tmp_path, portrait), target, both, options)
    assert (result.pixel_layout, result.frames) == ("RGB", 3)


def test_a_model_of_that_name_with_another_contract_is_refused(
    echo_repository: Path, backend_cache: Path, tmp_path: Path
) -> None:
    for name in (MODEL_NAME, YUV_MODEL_NAME):
        shutil.copytree(echo_repository / MODEL_NAME, tmp_path / name)
    config = tmp_path / YUV_MODEL_NAME / "config.pbtxt"
    config.write_text(config.read_text().replace(f'"{MODEL_NAME}"', f'"{YUV_MODEL_NAME}"'))
    options = ServerOptions(tmp_path, cache_dir=backend_cache, threads=1)
    with (
        TritonServer.start(options) as server,
        pytest.raises(ServerError, match=f"{YUV_MODEL_NAME} at .*not the wire contract"),
    ):
        MattingModel(server.grpc_url)
