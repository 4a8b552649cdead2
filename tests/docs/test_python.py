"""What docs/python.md shows, done; its tables say what the code says."""

import inspect
import shutil
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.docs.pages import DOCS, README, Block, blocks, checked_block, codes, table
from tests.docs.test_tables import defaults, says
from tests.support.certificates import Authority
from tests.support.gateway import Gateway, serving

import rvm_client
from rvm_client import (
    AsyncMattingSession,
    ConfigError,
    Matte,
    MatteOptions,
    MattingModel,
    MattingSession,
    OutputType,
    UsageError,
)
from rvm_client.decode import VideoReader
from rvm_export.verify.goldens import INT8_CASES

PAGE = DOCS / "python.md"
Scope = dict[str, Any]
# At the ratio that "auto" chooses.
(CASE,) = (case for case in INT8_CASES if case.downsample_ratio == 1)
TOKEN = "of-the-test"


@pytest.fixture(scope="module")
def folder(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the page's reader stands: a clip, a beach, and frames of a person."""
    folder = tmp_path_factory.mktemp("python")
    shutil.copytree(samples, folder, dirs_exist_ok=True)
    (folder / "frames").mkdir()
    for i, frame in enumerate(CASE.src):
        Image.fromarray(frame).save(folder / "frames" / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def scope(folder: Path, real: Callable[[Block], str]) -> Scope:
    """What the page's Python has defined, once it has run."""
    scope: Scope = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in blocks(PAGE, language="python", mark=None):
            exec(compile(real(block), block.place, "exec"), scope)
    return scope


def test_the_readme_has_the_same_lines() -> None:
    (block,) = blocks(README, language="python")
    assert block.text == blocks(PAGE, language="python")[0].text


@pytest.mark.usefixtures("scope")
def test_the_ten_lines_make_the_golden_alpha(folder: Path) -> None:
    first = blocks(PAGE, language="python")[0]
    assert len([line for line in first.text.splitlines() if line]) <= 10
    made = [np.asarray(Image.open(folder / f"{i}.png")) for i in range(len(CASE.src))]
    # One level: the reference rounds float32 results that differ in their last bits.
    np.testing.assert_allclose(np.stack(made).astype(int), CASE.pha.astype(int), rtol=0, atol=1)


def test_what_the_blocks_leave(scope: Scope, folder: Path) -> None:
    assert scope["rgba"].shape == (180, 320, 4)
    assert scope["on_white"].shape == scope["foreground_bgr"].shape == (180, 320, 3)
    # A frame that waits for half a second on a machine that is at work is dropped.
    assert scope["shown"] > 0
    assert scope["shown"] + scope["dropped"] == 5
    result = scope["result"]
    assert result.path == Path("my_video.webm")
    with VideoReader(folder / "my_video.webm") as reader:
        assert sum(len(chunk.pts) for chunk in reader.chunks(8)) == result.frames == 2
    assert (folder / "over_a_beach.mp4").stat().st_size > 0


def test_a_token_and_tls(triton_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a gateway that wants both."""
    monkeypatch.chdir(tmp_path)
    Path("token.txt").write_text(f"{TOKEN}\n")
    Authority(tmp_path).server_context("localhost")
    header = ("triton-grpc-protocol-rvm-token", TOKEN)
    gateway = Gateway(triton_url, header=header)
    with serving(gateway, tmp_path / "localhost.pem") as url:
        block = checked_block("test_a_token_and_tls").text.replace("gpu.example.com:8001", url)
        scope: Scope = {"np": np, "Path": Path}
        exec(block, scope)
        assert scope["matte"].alpha.shape == (180, 320)
        assert gateway.requests
        wrong = block.replace("token=token", "token='wrong'")
        with pytest.raises(rvm_client.AccessError, match="closed to this client"):
            exec(wrong, scope)


# --- tables


def test_every_public_name_is_there_and_nothing_else() -> None:
    documented = [name for row in table(PAGE, "name", "what it is") for name in codes(row[0])]
    assert sorted(documented) == sorted(rvm_client.__all__)


def test_every_public_error_has_its_row() -> None:
    rows = table(PAGE, "error", "when", "what to do")
    public = {name for name in rvm_client.__all__ if name.endswith("Error")}
    assert {name for row in rows for name in codes(row[0])} == public
    assert all(len(row) == 3 and all(row) for row in rows)


@pytest.mark.parametrize("session", [MattingSession, AsyncMattingSession])
def test_the_arguments_of_a_session(session: type) -> None:
    check_arguments("argument of a session", dict(inspect.signature(session).parameters))


def test_the_options_of_a_video() -> None:
    check_arguments("option of `MatteOptions`", dict(inspect.signature(MatteOptions).parameters))


def check_arguments(header: str, parameters: dict[str, inspect.Parameter]) -> None:
    """The table has them all, with their defaults."""
    documented = defaults(table(PAGE, header, "meaning", "default"), r"`(\w+)`")
    assert documented.keys() == parameters.keys()
    for name, parameter in parameters.items():
        default = "" if parameter.default is parameter.empty else parameter.default
        if isinstance(default, OutputType):
            default = default.value
        # No further results, and nothing that is made anew: "none".
        if default == () or "factory" in repr(default):
            default = None
        assert says(documented[name], default), name


def test_the_arguments_of_a_model() -> None:
    text = PAGE.read_text()
    (sentence,) = [part for part in text.split("\n\n") if part.startswith("`MattingModel` has")]
    assert {*codes(sentence)} - {"MattingModel"} == {*inspect.signature(MattingModel).parameters}


@pytest.mark.parametrize("name", rvm_client.__all__)
def test_the_fields_that_a_row_names(name: str) -> None:
    (row,) = [row for row in table(PAGE, "name", "what it is") if name in codes(row[0])]
    public = getattr(rvm_client, name)
    known = {*rvm_client.__all__, "async with", "async for", "await"}
    if is_dataclass(public):
        known |= {field.name for field in fields(public)}
    named = {code.partition("(")[0] for code in codes(row[1])} - known
    assert all(hasattr(public, part) for part in named), named


# --- what the page promises of wrong values


def test_a_file_of_authorities_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"missing\.pem cannot be read as PEM \(No such file"):
        MattingSession("127.0.0.1:9", tls="missing.pem")


def test_a_ratio_that_is_a_word() -> None:
    with pytest.raises(UsageError, match="the downsample ratio is 'high'"):
        MattingSession("127.0.0.1:9", downsample_ratio="high")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "background", [np.zeros((4, 8, 3), np.uint8), np.zeros((8, 4, 3), np.float32)]
)
def test_a_background_that_does_not_fit(background: Any) -> None:
    matte = Matte(np.zeros((8, 4, 3), np.uint8), np.zeros((8, 4), np.uint8))
    with pytest.raises(UsageError, match=r"or uint8 of shape \[8, 4, 3\]"):
        matte.over(background)
