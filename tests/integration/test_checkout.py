"""An export in a checkout, which is where `rvm-export` writes without being told."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import ROOT

from rvm_client.matte import MattingModel
from rvm_client.server import ServerOptions, TritonServer

COMMITTED = (".gitignore", "model_repository/README.md", "export")


def git(checkout: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    command = ["git", "-C", str(checkout), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git checkout of what is committed here and bears on an export."""
    folder = tmp_path / "checkout"
    for name in COMMITTED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all")
    return folder


@pytest.mark.slow
def test_float16_changes_nothing_that_git_keeps(
    checkout: Path, official_checkpoint: Path, backend_cache: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(checkout / "export")}
    environment.pop("RVM_MODEL_REPOSITORY", None)
    options = ["--precision", "fp16", "--checkpoint", str(official_checkpoint)]
    command = [sys.executable, "-m", "rvm_export", "export", *options]
    subprocess.run(command, env=environment, cwd=checkout, check=True, capture_output=True)
    assert git(checkout, "status", "--porcelain") == ""
    server_options = ServerOptions(
        checkout / "model_repository", cache_dir=backend_cache, threads=1, exit_timeout_s=0
    )
    with (
        TritonServer.start(server_options) as server,
        MattingModel(server.grpc_url) as model,
    ):
        assert [address.state_dtype for address in model.addresses] == ["FP16"]
