"""Which versions are served, as config.pbtxt says it."""

from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from rvm_export.errors import RepositoryError
from rvm_export.repository import (
    Repository,
    ServedVersions,
    prepare_config,
    served_versions,
    write_served,
)
from rvm_export.wire import Precision


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path)
    for version in (1, 2, 10):
        repository.version_folder(version).mkdir(parents=True)
    prepare_config(repository.model_folder, repository.kind, Precision.FP32)
    return repository


def config_of(repository: Repository) -> model_config_pb2.ModelConfig:
    text = (repository.model_folder / "config.pbtxt").read_text()
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def test_without_a_policy_the_highest_is_served(repository: Repository, tmp_path: Path) -> None:
    assert served_versions(repository) == ServedVersions(10, (10,))
    assert served_versions(Repository(tmp_path / "none")) == ServedVersions(None, ())


def test_what_is_written_is_read_again_and_triton_understands_it(repository: Repository) -> None:
    before = config_of(repository)
    for served in (
        ServedVersions(2, (2, 10), 10),
        ServedVersions(1, (1,)),
        ServedVersions(10, (1, 10), 1),
    ):
        write_served(repository, served)
        assert served_versions(repository) == served
        config = config_of(repository)
        assert tuple(config.version_policy.specific.versions) == served.served
        assert config.parameters["active_version"].string_value == str(served.active)
        assert ("previous_version" in config.parameters) == (served.previous is not None)
        config.ClearField("version_policy")
        for name in ("active_version", "previous_version"):
            config.parameters.pop(name, None)
        assert config == before


def test_a_policy_of_somebody_else_s_is_left_alone(repository: Repository) -> None:
    path = repository.model_folder / "config.pbtxt"
    theirs = path.read_text() + "version_policy { all { } }\n"
    path.write_text(theirs)
    for attempt in (
        lambda: served_versions(repository),
        lambda: write_served(repository, ServedVersions(1, (1,))),
    ):
        with pytest.raises(RepositoryError, match="a version_policy of its own"):
            attempt()
    assert path.read_text() == theirs


def test_a_damaged_block_is_said(repository: Repository) -> None:
    write_served(repository, ServedVersions(2, (2,)))
    path = repository.model_folder / "config.pbtxt"
    path.write_text(path.read_text().replace("active_version", "active"))
    with pytest.raises(RepositoryError, match="is damaged; remove it"):
        served_versions(repository)
