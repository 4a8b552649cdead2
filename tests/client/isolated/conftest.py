"""Processes that decode, as the worker has them."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rvm_client.isolated import DecoderLimits, DecoderPool, Opener

LIMITS = DecoderLimits(memory_bytes=2 << 30, cpu_seconds=600, timeout_s=60)


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    with DecoderPool(LIMITS, uses_gpu=False) as pool:
        yield pool


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the job of `opener`."""
    return tmp_path_factory.mktemp("job")


@pytest.fixture(scope="module")
def opener(pool: DecoderPool, folder: Path) -> Iterator[Opener]:
    """For all files in `folder`."""
    with pool.job(folder, threading.Event()) as opener:
        yield opener
