"""Versions of a model that differ, made in a moment: nothing of them is verified."""

import io
import shutil
from pathlib import Path

import numpy as np
import torch

from rvm_export import script
from rvm_export.hashes import sha256_of
from rvm_export.repository import GOLDEN_FILE, MODEL_FILE, Manifest, Repository
from rvm_export.verify import write_golden_frame
from rvm_export.weights import Weights
from rvm_export.wire import Layout, Precision


def add_version(repository: Repository, version: int, weights: Weights, alpha: float = 0.0) -> Path:
    """A float32 RGB version whose alpha lies above that of the weights by `alpha`."""
    network = weights.network()
    bias = network.project_mat.conv.bias
    assert bias is not None
    with torch.no_grad():
        bias[3] += alpha
    buffer = io.BytesIO()
    torch.jit.save(script.script(network, torch.float32, Layout.RGB), buffer)
    folder = repository.version_folder(version)
    folder.mkdir()
    (folder / MODEL_FILE).write_bytes(buffer.getbuffer())
    write_golden_frame(folder, network, Layout.RGB, Precision.FP32)
    Manifest(
        model_sha256=sha256_of(folder / MODEL_FILE),
        weights_source=weights.source,
        weights_sha256=weights.sha256,
        refiner=weights.refiner,
        precision=Precision.FP32,
        device="cpu",
        torch_version=torch.__version__,
        code_version="test",
        created="2026-01-01T00:00:00+00:00",
    ).write(folder)
    return folder


def add_bad_version(repository: Repository, version: int, like: int) -> Path:
    """A copy of another version whose mattes are not those that it is said to give."""
    folder = repository.version_folder(version)
    shutil.copytree(repository.version_folder(like), folder)
    golden = dict(np.load(folder / GOLDEN_FILE))
    np.savez_compressed(folder / GOLDEN_FILE, **{**golden, "pha": 255 - golden["pha"]})
    return folder


def add_broken_version(repository: Repository, version: int, like: int) -> Path:
    """A version whose file no PyTorch loads, with a manifest that fits it."""
    folder = repository.version_folder(version)
    shutil.copytree(repository.version_folder(like), folder)
    (folder / MODEL_FILE).write_bytes(b"no archive")
    old = Manifest.read(folder)
    Manifest(**{**vars(old), "model_sha256": sha256_of(folder / MODEL_FILE)}).write(folder)
    return folder
