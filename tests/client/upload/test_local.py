"""The folder for development."""

import threading
from pathlib import Path

import pytest
from tests.support.uploads import Reports, make_request

from rvm_client.config import Settings
from rvm_client.errors import ConfigError, StoppedError, UploadError
from rvm_client.upload import Store, UploadProgress, choose_store

FILE_BYTES = 3 * 1024 * 1024 + 17


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def store(folder: Path) -> Store:
    return choose_store(Settings(upload_folder=folder))


def test_the_file_is_copied(store: Store, folder: Path, tmp_path: Path) -> None:
    request = make_request(tmp_path, FILE_BYTES, folder="a/b")
    reports = Reports()

    store.check()
    result = store.upload(request, on_progress=reports)

    copy = folder / "a" / "b" / "result-1.mp4"
    assert copy.read_bytes() == request.path.read_bytes()
    assert result.url == copy.as_uri()
    assert [p for p in folder.rglob("*") if p.is_file()] == [copy]
    reports.assert_complete(FILE_BYTES)


def test_nothing_is_left_of_a_cancelled_copy(store: Store, folder: Path, tmp_path: Path) -> None:
    cancelled = threading.Event()

    def stop_half_way(progress: UploadProgress) -> None:
        if progress.sent_bytes:
            cancelled.set()

    with pytest.raises(StoppedError):
        store.upload(
            make_request(tmp_path, FILE_BYTES), on_progress=stop_half_way, cancelled=cancelled
        )

    assert [p for p in folder.rglob("*") if p.is_file()] == []


def test_a_folder_that_is_a_file(folder: Path, store: Store, tmp_path: Path) -> None:
    folder.write_text("not a folder")

    with pytest.raises(ConfigError, match="results cannot be written to"):
        store.check()
    with pytest.raises(UploadError, match=r"result-1.mp4 could not be written"):
        store.upload(make_request(tmp_path, 10))


def test_a_result_that_is_missing_or_empty(store: Store, tmp_path: Path) -> None:
    request = make_request(tmp_path, 10)
    request.path.write_bytes(b"")
    with pytest.raises(UploadError, match="is empty"):
        store.upload(request)

    request.path.unlink()
    with pytest.raises(UploadError, match=r"cannot be read .* No such file"):
        store.upload(request)
