"""What a server says when it fails, in one line."""

from pathlib import Path

import pytest
from tests.support.clips import index_frame, write_clip
from tests.support.gpu_server import GpuServer

from rvm_client.errors import GpuLostError, GpuMemoryError, InferenceError, ServerError
from rvm_client.matte import MattingModel
from rvm_client.matte.connection import reason_of
from rvm_client.options import MatteOptions
from rvm_client.pipeline import matte_video

# As NVIDIA's PyTorch backend of release 25.07 says it.
REFUSED = """PyTorch execute failure: The following operation failed in the TorchScript \
interpreter.
Traceback of TorchScript, serialized code (most recent call last):
  File "code/__torch__/rvm_export/script.py", line 23, in forward
    states = (r1i, r2i, r3i, r4i)
    _0 = (self.model).forward(frames, videos, states, ratio, )
          ~~~~~~~~~~~~~~~~~~~ <--- HERE
Traceback of TorchScript, original code (most recent call last):
  File "/src/export/rvm_export/frame_model.py", line 104, in ratio_value
    raise ValueError(f"downsample_ratio is {ratio}; it must be above 0 and at most 1")
    ~~~~~~~~~~~~~~~~ <--- HERE
builtins.ValueError: downsample_ratio is 5.; it must be above 0 and at most 1
"""
OUT_OF_MEMORY = """PyTorch execute failure: The following operation failed in the TorchScript \
interpreter.
Traceback of TorchScript, serialized code (most recent call last):
  File "code/__torch__/rvm_export/full_resolution.py", line 12, in write_at_once
    large = torch.contiguous(torch.unsqueeze(torch.cat([a, b]), 0))
            ~~~~~~~~~~~~~~~~ <--- HERE
RuntimeError: CUDA out of memory. Tried to allocate 128.00 MiB. GPU 0 has a capacity of 15 GiB
"""


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (REFUSED, "downsample_ratio is 5.; it must be above 0 and at most 1"),
        (
            OUT_OF_MEMORY,
            "CUDA out of memory. Tried to allocate 128.00 MiB. GPU 0 has a capacity of 15 GiB",
        ),
        # The embedded server's, which is the reason alone.
        (
            "downsample_ratio is 5.0; it must be above 0 and at most 1",
            "downsample_ratio is 5.0; it must be above 0 and at most 1",
        ),
        ("failed to connect to all addresses\nmore", "failed to connect to all addresses"),
        ("", "no reason is given"),
    ],
)
def test_the_reason_is_kept(message: str, reason: str) -> None:
    assert reason_of(message) == reason


LOST = """PyTorch execute failure: The following operation failed in the TorchScript \
interpreter.
RuntimeError: CUDA error: an illegal memory access was encountered
"""


def test_out_of_memory_it_is_tried_with_one_frame_a_request(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [index_frame(i) for i in range(5)])
    options = MatteOptions(warm_start=False)
    with (
        GpuServer(failure=OUT_OF_MEMORY, most_frames=1) as server,
        MattingModel(server.url) as model,
    ):
        result = matte_video(clip, tmp_path / "out.mp4", model, options)
    assert (result.frames, server.frames) == (5, [1] * 5)
    (warning,) = result.warnings
    assert "memory of the server's GPU ran out" in warning


@pytest.mark.parametrize(
    ("failure", "kind", "sentence"),
    [
        (REFUSED, InferenceError, "refused the request: downsample_ratio is 5.; it must be above"),
        (OUT_OF_MEMORY, GpuMemoryError, "failed: CUDA out of memory. Tried to allocate 128.00"),
        (LOST, GpuLostError, "failed: CUDA error: an illegal memory access was encountered"),
    ],
    ids=["refused", "out of memory for one frame", "lost"],
)
def test_a_video_fails_with_the_reason(
    tmp_path: Path, failure: str, kind: type[ServerError], sentence: str
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [index_frame(i) for i in range(5)])
    with (
        GpuServer(failure=failure) as server,
        MattingModel(server.url, reconnect_s=0) as model,
        pytest.raises(ServerError) as failed,
    ):
        matte_video(clip, tmp_path / "out.mp4", model, MatteOptions())
    assert type(failed.value) is kind
    assert sentence in str(failed.value)
    assert "\n" not in str(failed.value)
    assert list(tmp_path.iterdir()) == [clip]
