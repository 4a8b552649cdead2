"""A model repository for a Triton that is ready in a moment."""

from pathlib import Path

import pytest
from tests.integration.conftest import unused_port as unused_port
from tests.support.echo_model import write_repository

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def echo_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed model folder, its warm-up included, with `EchoModel` as version 1."""
    return write_repository(tmp_path_factory.mktemp("echo") / "repository")
