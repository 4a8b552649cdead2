"""A client that knows the table of the wire contract and tritonclient, and nothing of ours."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import tritonclient.grpc as triton
from av.video.reformatter import ColorRange, Colorspace
from tritonclient.utils import InferenceServerException

from rvm_export.verify.goldens import INT8_CASES, GoldenCase

MODEL = "rvm_mobilenetv3"
YUV_MODEL = "rvm_mobilenetv3_yuv"
NUMPY_DTYPES = {"FP32": np.float32, "FP16": np.float16}
SERVE = "from rvm_client.cli.serve import main; main()"


@pytest.fixture(scope="module")
def grpc_url(yuv_model_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address that `rvm-serve` prints."""
    environment = os.environ | {"RVM_CACHE_DIR": str(tmp_path_factory.mktemp("cache"))}
    options = ["--grpc-port=0", "--http-port=0", "--metrics-port=0"]
    command = [sys.executable, "-c", SERVE, *options, f"--model-repository={yuv_model_repository}"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[2].rstrip(",")
        process.terminate()
        assert process.wait(timeout=60) == 0


def tensor(name: str, array: Any, dtype: str) -> triton.InferInput:
    made = triton.InferInput(name, list(array.shape), dtype)
    made.set_data_from_numpy(array)
    return made


def matte(
    client: Any, case: GoldenCase, src: Any, matrices: dict[str, Any] | None = None
) -> tuple[Any, Any]:
    """Foreground and alpha of a whole video, its state carried from request to request."""
    model = YUV_MODEL if matrices else MODEL
    inputs = {made.name: made for made in client.get_model_metadata(model).inputs}
    states = {
        f"r{i}": np.zeros((1, 1, 1, 1), NUMPY_DTYPES[inputs[f"r{i}i"].datatype])
        for i in (1, 2, 3, 4)
    }
    fgr, pha, start = [], [], 0
    for length in case.chunks:
        request = [tensor("src", src[None, start : start + length], "UINT8")]
        for name, state in states.items():
            request.append(tensor(f"{name}i", state, inputs[f"{name}i"].datatype))
        ratio = np.array([case.downsample_ratio], np.float32)
        request.append(tensor("downsample_ratio", ratio, "FP32"))
        request += [tensor(name, value, "FP32") for name, value in (matrices or {}).items()]
        result = client.infer(model, request)
        fgr.append(result.as_numpy("fgr")[0])
        pha.append(result.as_numpy("pha")[0, ..., 0])
        states = {name: result.as_numpy(f"{name}o") for name in states}
        start += length
    return np.concatenate(fgr), np.concatenate(pha)


def bt709_limited() -> dict[str, Any]:
    """The two matrices, by the example in docs/wire-contract.md."""
    text = (Path(__file__).parents[2] / "docs" / "wire-contract.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    scope: dict[str, Any] = {}
    exec(next(block for block in blocks if "def bt709_limited" in block), scope)
    return dict(zip(("to_rgb", "from_rgb"), scope["bt709_limited"](), strict=True))


def decoded(rgb: Any) -> Any:
    """An RGB picture as a decoder gives it: 4:2:0 in BT.709 limited range, by PyAV."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    bt709 = {"src_colorspace": Colorspace.ITU709, "dst_colorspace": Colorspace.ITU709}
    ranges = {"src_color_range": ColorRange.JPEG, "dst_color_range": ColorRange.MPEG}
    return frame.reformat(format="yuv420p", **bt709, **ranges).to_ndarray()


def components(i420: Any) -> Any:
    """Packed pictures [T,H*3/2,W] as Y, U, V of each pixel [T,H,W,3]."""
    count, rows, width = i420.shape
    height = rows * 2 // 3
    flat = i420.reshape(count, -1)
    luma = flat[:, : height * width].reshape(count, height, width)
    chroma = flat[:, height * width :].reshape(count, 2, height // 2, width // 2)
    u, v = chroma.repeat(2, axis=2).repeat(2, axis=3).swapaxes(0, 1)
    return np.stack([luma, u, v], -1)


def converted(pixels: Any, matrix: Any) -> Any:
    """Three components by a matrix [3,4], not rounded."""
    return pixels @ matrix[:, :3].T.astype(float) + matrix[:, 3]


@pytest.mark.parametrize("case", INT8_CASES, ids=lambda case: case.name)
def test_golden_alphas(grpc_url: str, case: GoldenCase) -> None:
    with triton.InferenceServerClient(grpc_url) as client:
        fgr, pha = matte(client, case, case.src)
    assert pha.dtype == np.uint8
    assert pha.shape == case.pha.shape
    # One level: the reference rounds float32 results that differ in their last bits.
    np.testing.assert_allclose(pha.astype(int), case.pha.astype(int), rtol=0, atol=1)
    grid = fgr[:, ::4, ::4].astype(int)
    np.testing.assert_allclose(grid, case.fgr_grid.astype(int), rtol=0, atol=1)


def test_yuv_frames(grpc_url: str) -> None:
    """The planes that a decoder gives, against the other model with their RGB."""
    case = next(case for case in INT8_CASES if case.is_even)
    src = np.stack([decoded(frame) for frame in case.src])
    assert src.shape == (len(case.src), case.size[0] * 3 // 2, case.size[1])
    matrices = bt709_limited()
    rgb = converted(components(src), matrices["to_rgb"]).clip(0, 255).round().astype(np.uint8)
    with triton.InferenceServerClient(grpc_url) as client:
        fgr, pha = matte(client, case, src, matrices)
        rgb_fgr, rgb_pha = matte(client, case, rgb)
    assert (fgr.dtype, fgr.shape, pha.shape) == (np.uint8, src.shape, rgb_pha.shape)
    np.testing.assert_allclose(pha.astype(int), rgb_pha.astype(int), rtol=0, atol=1)
    expected = converted(rgb_fgr, matrices["from_rgb"])
    # Chroma is that of the mean of 2x2 pixels.
    blocks = expected.reshape(len(fgr), case.size[0] // 2, 2, case.size[1] // 2, 2, 3)
    expected[..., 1:] = blocks.mean((2, 4)).repeat(2, 1).repeat(2, 2)[..., 1:]
    np.testing.assert_allclose(components(fgr), expected, rtol=0, atol=1.5)


def test_yuv_mistakes_are_named(grpc_url: str) -> None:
    case = next(case for case in INT8_CASES if case.is_even)
    matrices = bt709_limited()
    wrong = [
        (np.zeros((4, 100, 64), np.uint8), "src has 100 rows, which is not divisible by 3"),
        (np.zeros((4, 96, 63), np.uint8), "63 pixels wide; it must be even"),
    ]
    with triton.InferenceServerClient(grpc_url) as client:
        for src, message in wrong:
            with pytest.raises(InferenceServerException, match=message):
                matte(client, case, src, matrices)
