"""A model that takes no time to make, for servers whose mattes are not of interest."""

import shutil
from pathlib import Path

import torch

from rvm_client.wire import MODEL_NAME
from rvm_export.repository.config_pbtxt import packaged_folder
from rvm_export.wire import ModelKind


class EchoModel(torch.nn.Module):
    """Keeps the wire contract: the foreground is the source, alpha is its red, states count up.

    A ratio of 0 is refused, one of 0.5 takes about a second.
    """

    def forward(
        self,
        src: torch.Tensor,
        r1i: torch.Tensor,
        r2i: torch.Tensor,
        r3i: torch.Tensor,
        r4i: torch.Tensor,
        downsample_ratio: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        ratio = float(downsample_ratio)
        if ratio <= 0.0:
            raise RuntimeError("downsample_ratio must be above 0")
        if ratio == 0.5:
            busy = torch.ones(600, 600)
            for _ in range(200):
                busy = torch.softmax(busy @ busy, 0)
        return src, src[..., :1].contiguous(), r1i + 1, r2i + 1, r3i + 1, r4i + 1


class CountingModel(torch.nn.Module):
    """Keeps the wire contract, and never forgets: alpha is the number of frames it has seen."""

    def forward(
        self,
        src: torch.Tensor,
        r1i: torch.Tensor,
        r2i: torch.Tensor,
        r3i: torch.Tensor,
        r4i: torch.Tensor,
        downsample_ratio: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        assert float(downsample_ratio) > 0.0
        frames = torch.arange(1, src.shape[1] + 1, device=src.device) + r1i.flatten()[0]
        alpha = torch.zeros_like(src[..., :1]) + frames.remainder(256).to(src.dtype).reshape(
            1, -1, 1, 1, 1
        )
        return src, alpha, r1i + src.shape[1], r2i, r3i, r4i


def write_repository(repository: Path, model: torch.nn.Module | None = None) -> Path:
    """A model repository with the committed config.pbtxt and a model as version 1.

    Args:
        repository: its folder.
        model: None: `EchoModel`.
    """
    version = repository / MODEL_NAME / "1"
    shutil.copytree(packaged_folder(ModelKind()), version.parent)
    version.mkdir()
    torch.jit.save(torch.jit.script(model or EchoModel()), str(version / "model.pt"))
    return repository
