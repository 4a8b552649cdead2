"""Refinements on the way of a video: options in, another file out."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.support.clips import alpha_plane, read_frames, write_clip
from tests.support.people import Walker, picture

from rvm_client.alpha_edges import Edges
from rvm_client.matte import MattingModel
from rvm_client.options import MatteOptions
from rvm_client.output_types import OutputType
from rvm_client.pipeline import matte_video
from rvm_client.pixels import UInt8Array
from rvm_client.refinements import Refinements
from rvm_client.server import TritonServer
from rvm_client.subject import Subject, parse_exclude

LARGE = Walker(90, 90, 80, 160)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two red people, of whom the smaller one walks. `EchoModel` takes the red for alpha."""
    frames = []
    for step in range(9):
        _, pha = picture([LARGE, Walker(250 - 4 * step, 100, 50, 100)])
        frames.append(np.stack([pha, pha // 3, pha // 3], axis=-1))
    return write_clip(tmp_path_factory.mktemp("clips") / "two.mp4", frames)


def alphas(
    clip: Path, folder: Path, server: TritonServer, wishes: Refinements, count: int = 4
) -> UInt8Array:
    """[N,H,W] of the result, where `count` frames go to the server at a time."""
    options = MatteOptions(
        OutputType.ALPHA,
        refinements=wishes,
        frames_per_request=count,
        preview=folder / "preview.png",
        downsample_ratio=1,
        crf=10,
    )
    with MattingModel(server.grpc_url) as model:
        matte_video(clip, folder / "out.webm", model, options)
    decoded = read_frames(folder / "out.webm", decoder="libvpx-vp9")
    return np.stack([alpha_plane(frame) for frame in decoded])


def test_the_largest_is_kept_however_many_frames_a_request_has(
    clip: Path, tmp_path: Path, echo_server: TritonServer
) -> None:
    wishes = Refinements(subject=Subject.parse("largest"))
    by_count = [alphas(clip, tmp_path, echo_server, wishes, count) for count in (1, 3, 7)]
    for found in by_count:
        assert len(found) == 9
        np.testing.assert_array_equal(found, by_count[0])
        assert (found[:, 80:100, 80:100] > 235).all()
        assert found[..., 190:].max() < 12
    with Image.open(tmp_path / "preview.png") as image:
        shown = np.asarray(image.convert("RGB")).astype(int)
    # A third of the way, the other one is at 238: not kept, and tinted.
    red, green, _ = shown[100, 238]
    assert red > green + 80


def test_regions_and_edges_reach_the_file(
    clip: Path, tmp_path: Path, echo_server: TritonServer
) -> None:
    plain = alphas(clip, tmp_path, echo_server, Refinements())
    subject = Subject.parse("box:0,0,0.5,1", parse_exclude("0,0,1,0.5"))
    found = alphas(clip, tmp_path, echo_server, Refinements(subject, Edges(shrink_pixels=4)))
    assert plain[0, 100, 250] > 200
    assert found[:, :, 162:].max() < 12
    assert found[:, :88].max() < 12
    # Both edges of the large one have moved by four pixels.
    widths = [int((row > 127).sum()) for row in (plain[0, 110, :160], found[0, 110, :160])]
    assert abs(widths[0] - widths[1] - 8) <= 1
