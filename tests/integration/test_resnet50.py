"""ResNet50 beside MobileNetV3 on one server: sessions, the command and jobs that ask for it.

Its weights are drawn from a seed, so that its mattes show nobody; which network made them shows
all the same.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.clip_server import ClipServer
from tests.support.clips import write_clip
from tests.support.commands import invoke
from tests.support.servers import shared_server

from rvm_client import AsyncMattingSession, MattingSession
from rvm_client.cli.matte import matte
from rvm_client.config import Settings
from rvm_client.download import DownloadLimits
from rvm_client.errors import NotServedError, UsageError
from rvm_client.job import parse_job
from rvm_client.matte import MattingModel
from rvm_client.options import Limits
from rvm_client.server import ServerOptions
from rvm_client.upload import choose_store
from rvm_client.worker.run import JobContext, JobReport, run_job
from rvm_export.verify.goldens import CASES, INT8_CASES, RESNET50_SEED
from rvm_export.verify.run import EagerModel, run
from rvm_export.verify.verification import seeded_network
from rvm_export.wire import Variant

(CASE,) = (case for case in CASES if case.variant is Variant.RESNET50)
FRAMES = 3


@pytest.fixture(scope="module")
def url(both_variants_repository: Path, backend_cache: Path) -> Iterator[str]:
    """HOST:PORT of a server of both; `triton_url` is one of MobileNetV3 alone."""
    options = ServerOptions(
        both_variants_repository, cache_dir=backend_cache, threads=1, exit_timeout_s=0
    )
    with shared_server(options) as server:
        yield server.grpc_url


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClipServer]:
    folder = tmp_path_factory.mktemp("clips")
    write_clip(folder / "short.mp4", [*INT8_CASES[0].src[:FRAMES]])
    with ClipServer(folder) as server:
        yield server


@pytest.fixture
def rvm_matte(clips: ClipServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The command, with what it writes in a folder of its own."""
    monkeypatch.setattr("rvm_client.cli.matte.share_one_heap", lambda: None)
    return partial(invoke, matte, clips.folder / "short.mp4", "--downsample-ratio", 0.5)


def test_a_session_gives_the_reference_s_mattes(url: str) -> None:
    options: dict[str, Any] = {"downsample_ratio": CASE.downsample_ratio}
    with MattingSession(url, model="resnet50", frames_per_request=2, **options) as session:
        mattes = list(session.matte(CASE.src))
        # Its states are wider, and have room there.
        assert session.transport == "shared memory"
        assert session.model_version == "1"
    alphas = np.stack([matte.alpha for matte in mattes]).astype(int)
    np.testing.assert_allclose(alphas, CASE.pha.astype(int), rtol=0, atol=1)
    grid = np.stack([matte.foreground[::4, ::4] for matte in mattes]).astype(int)
    np.testing.assert_allclose(grid, CASE.fgr_grid.astype(int), rtol=0, atol=1)


def test_a_session_of_an_odd_size_gives_the_eager_network_s(url: str) -> None:
    frames = np.ascontiguousarray(CASES[1].src[:, :101, :75])
    ratio, counts = 0.7, [1] * len(frames)
    eager = EagerModel(seeded_network(RESNET50_SEED, Variant.RESNET50))
    expected = run(eager, torch.from_numpy(frames)[None], ratio, counts, torch.float32)
    with MattingSession(url, model="resnet50", downsample_ratio=ratio) as session:
        alphas = np.stack([session.matte_frame(frame).alpha for frame in frames])
    difference = alphas.astype(int) - expected.pha[0, ..., 0].numpy()
    assert np.abs(difference).max() <= 1


def test_sessions_of_both_do_not_disturb_each_other(url: str, triton_url: str) -> None:
    frames = np.ascontiguousarray(CASE.src[:, ::4, ::4])
    with MattingSession(triton_url) as alone:
        expected = [alone.matte_frame(frame).alpha for frame in frames]
    with MattingSession(url) as ours, MattingSession(url, model="resnet50") as other:
        alphas = []
        for frame in frames:
            alphas.append(ours.matte_frame(frame).alpha)
            assert not np.array_equal(alphas[-1], other.matte_frame(frame).alpha)
    assert np.array_equal(alphas, expected)


def test_a_session_where_it_is_missing(triton_url: str) -> None:
    with pytest.raises(NotServedError, match="has no model rvm_resnet50; take another one"):
        MattingSession(triton_url, model="resnet50")

    async def enter() -> None:
        async with AsyncMattingSession(triton_url, model="resnet50"):
            pass

    with pytest.raises(NotServedError, match="has no model rvm_resnet50"):
        asyncio.run(enter())
    with pytest.raises(UsageError, match=r"model is 'vit'; it must be mobilenetv3 or resnet50"):
        MattingSession(triton_url, model="vit")  # type: ignore[arg-type]


def test_the_command(rvm_matte: Callable[..., Any], url: str, tmp_path: Path) -> None:
    used = {}
    for model in ("mobilenetv3", "resnet50"):
        where = ("-o", tmp_path / f"{model}.mp4", "--triton-url", url)
        made = rvm_matte(*where, "--model", model, "--json")
        assert made.exit_code == 0, made.output
        result = json.loads(made.stdout)
        used[model] = (result["model"], result["model_version"], result["warnings"])
        assert result["frames"] == FRAMES
    assert used == {model: (model, "1", []) for model in used}
    pictures = [(tmp_path / f"{model}.mp4").read_bytes() for model in used]
    assert pictures[0] != pictures[1]


def test_the_command_where_it_is_missing(
    rvm_matte: Callable[..., Any], triton_url: str, tmp_path: Path
) -> None:
    where = ("-o", tmp_path / "out.mp4", "--triton-url", triton_url)
    refused = rvm_matte(*where, "--model", "resnet50")
    assert refused.exit_code == 4
    assert refused.stderr.count("\n") == 1
    assert f"error: the Triton server at {triton_url} has no model rvm_resnet50;" in refused.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("speed", "is_there", "model"),
    [
        ("best", True, "resnet50"),
        ("quality", True, "mobilenetv3"),
        ("best", False, "mobilenetv3"),
    ],
)
def test_the_best_speed_of_a_job(
    url: str,
    triton_url: str,
    clips: ClipServer,
    tmp_path: Path,
    speed: str,
    is_there: bool,
    model: str,
) -> None:
    context = JobContext(
        open_model=partial(MattingModel, url if is_there else triton_url),
        store=choose_store(Settings(upload_folder=tmp_path)),
        download_limits=DownloadLimits(allow_private_addresses=True),
        limits=Limits(),
        upload_timeout_s=60.0,
        job_timeout_s=60.0,
    )
    job = parse_job({"video_url": clips.url("short.mp4"), "speed": speed, "warm_start": False})
    output = run_job(job, context, JobReport(lambda _: None, threading.Event()))
    assert (output["model"], output["model_version"]) == (model, "1")
    fell_back = speed == "best" and not is_there
    warnings = ["the server has no model resnet50, so mobilenetv3 made this"]
    assert output.get("warnings", []) == (warnings if fell_back else [])
    # Its ratio is what it was.
    assert output["downsample_ratio"] == 1.0
