"""A page that mattes nothing: what comes before needs no server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.clips import index_frame, write_clip
from tests.support.web_page import RunningPage, Visitor, page_options


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPage]:
    with RunningPage(page_options(tmp_path_factory.mktemp("state"))) as running:
        yield running


@pytest.fixture
def visitor(page: RunningPage) -> Visitor:
    return page.visitor()


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Forty frames of H.264, which browsers play."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return write_clip(path, [index_frame(i) for i in range(40)]).read_bytes()


@pytest.fixture(scope="session")
def mpeg4_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty frames that browsers do not play."""
    path = tmp_path_factory.mktemp("clip") / "old.avi"
    return write_clip(path, [index_frame(i) for i in range(40)], codec="mpeg4")
