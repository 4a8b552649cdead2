"""A small made set, and the real model, for the tests of this folder."""

from pathlib import Path

import pytest

from rvm_export.evaluate.matting import Version
from rvm_export.evaluate.synthetic import MadeSet, make_dataset
from rvm_export.repository import Repository

SMALL = MadeSet(seed=7, clips=4, frames=10, width_pixels=160, height_pixels=90)


@pytest.fixture(scope="session")
def made_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One clip of each kind. Tests must not write to it."""
    folder = tmp_path_factory.mktemp("made") / "set"
    make_dataset(folder, SMALL, lambda: None)
    return folder


@pytest.fixture(scope="session")
def real(model_repository: Path) -> Version:
    """The real model's version 1."""
    return Version.load(Repository(model_repository), None, "cpu")
