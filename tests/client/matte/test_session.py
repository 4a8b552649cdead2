"""What a server says when it fails, in one line."""

from pathlib import Path

import pytest
from tests.support.clips import index_frame, write_clip
from tests.support.gpu_server import GpuServer

from rvm_client.errors import InferenceError
from rvm_client.matte import MattingModel
from rvm_client.matte.session import reason_of
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


def test_a_video_fails_with_the_reason(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [index_frame(0)])
    with (
        GpuServer(failure=REFUSED) as server,
        MattingModel(server.url) as model,
        pytest.raises(InferenceError) as failed,
    ):
        matte_video(clip, tmp_path / "out.mp4", model, MatteOptions())
    assert str(failed.value) == (
        f"the Triton server at {server.url} refused the request: "
        "downsample_ratio is 5.; it must be above 0 and at most 1"
    )
