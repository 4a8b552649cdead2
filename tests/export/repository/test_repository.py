"""Versions appear whole or not at all, also when the export is killed."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rvm_export.errors import RepositoryError, UsageError
from rvm_export.repository.config_pbtxt import prepare_config
from rvm_export.repository.manifest import Manifest
from rvm_export.repository.repository import MODEL_FILE, Repository
from rvm_export.wire import Layout, ModelKind, Precision, Refiner

YUV = ModelKind(layout=Layout.YUV)

# Stages a version, says so, and then waits to be stopped or publishes after all.
STAGE = """
import sys, time
from pathlib import Path
from rvm_export.repository.repository import Repository
repository = Repository(Path(sys.argv[1]))
with repository.locked(), repository.staging(1) as staged:
    (staged / "model.pt").write_bytes(b"half")
    print(staged, flush=True)
    time.sleep(60)
    repository.publish(staged)
"""


def publish(repository: Repository, version: int, content: bytes) -> Path:
    with repository.locked(), repository.staging(version) as staged:
        (staged / MODEL_FILE).write_bytes(content)
        return repository.publish(staged)


def names(repository: Repository) -> list[str]:
    return sorted(entry.name for entry in repository.model_folder.iterdir())


def test_published_whole(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "new")
    folder = publish(repository, 3, b"model")
    assert (folder / MODEL_FILE).read_bytes() == b"model"
    assert folder.stat().st_mode & 0o777 == 0o755  # the server may be another user
    assert names(repository) == ["3"]


def test_next_version_is_after_the_highest(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    assert repository.choose_version(None) == 1
    for version in (2, 10):
        publish(repository, version, b"")
    for other in ("012", "x", "-1", ".staging-a", "warmup"):
        (repository.model_folder / other).mkdir()
    (repository.model_folder / "77").touch()
    assert repository.versions() == [2, 10]
    assert repository.choose_version(None) == 11
    assert repository.choose_version(5) == 5
    assert repository.published(None) == 10


def test_version_is_never_overwritten(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    publish(repository, 1, b"first")
    with pytest.raises(UsageError, match="never overwritten"):
        repository.choose_version(1)
    with pytest.raises(UsageError, match="never overwritten"):
        publish(repository, 1, b"second")
    assert (repository.version_folder(1) / MODEL_FILE).read_bytes() == b"first"
    assert names(repository) == ["1"]


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    repository = Repository(tmp_path)

    def interrupted() -> None:
        with repository.locked(), repository.staging(1) as staged:
            (staged / MODEL_FILE).write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(repository) == []


def test_killed_export_leaves_no_version_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    command = [sys.executable, "-c", STAGE, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        staged = Path(process.stdout.readline().strip())
        assert (staged / MODEL_FILE).exists()
        assert repository.versions() == []
        process.send_signal(signal.SIGKILL)
    assert repository.versions() == []
    assert staged.parent.name.startswith(".")
    publish(repository, 1, b"whole")
    assert names(repository) == ["1"]


def test_another_model_appears_with_its_first_version(tmp_path: Path) -> None:
    """Triton does not start where a model has no version."""
    publish(Repository(tmp_path), 1, b"rgb")
    repository = Repository(tmp_path, YUV)
    with repository.locked(), repository.staging(1) as staged:
        (staged / MODEL_FILE).write_bytes(b"yuv")
        prepare_config(repository.config_folder(staged), YUV, Precision.FP16)
        assert [path.name for path in tmp_path.iterdir()] == ["rvm_mobilenetv3"]
        assert repository.publish(staged) == repository.version_folder(1)
    assert names(repository) == ["1", "config.pbtxt", "warmup"]
    assert (repository.model_folder.stat().st_mode & 0o777) == 0o755
    assert names(Repository(tmp_path)) == ["1"]
    publish(repository, 2, b"next")
    assert repository.versions() == [1, 2]
    assert Repository(tmp_path).versions() == [1]


def test_killed_export_of_another_model_leaves_no_folder_of_it(tmp_path: Path) -> None:
    publish(Repository(tmp_path), 1, b"rgb")
    yuv = STAGE.replace("Path(sys.argv[1])", "Path(sys.argv[1]), ModelKind(layout=Layout.YUV)")
    code = f"from rvm_export.wire import Layout, ModelKind\n{yuv}"
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert Path(process.stdout.readline().strip()).is_dir()
        process.send_signal(signal.SIGKILL)
    assert [path.name for path in tmp_path.iterdir()] == ["rvm_mobilenetv3"]
    publish(Repository(tmp_path, YUV), 1, b"whole")
    assert names(Repository(tmp_path)) == ["1"]


def test_exports_take_turns(tmp_path: Path) -> None:
    """The second waits for the first; while it waits it removes nothing of the first's."""
    repository = Repository(tmp_path)
    command = [sys.executable, "-c", STAGE.replace("sleep(60)", "sleep(1)"), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with repository.locked():
            assert repository.choose_version(None) == 2
    assert process.returncode == 0


def test_folder_that_cannot_be_written() -> None:
    """In /sys the kernel refuses even root."""
    with pytest.raises(RepositoryError, match="cannot write the model repository /sys/rvm"):
        publish(Repository(Path("/sys/rvm")), 1, b"")


def test_file_in_the_place_of_the_repository(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RepositoryError, match="Not a directory"):
        publish(Repository(tmp_path / "file"), 1, b"")


def test_full_disk(tmp_path: Path) -> None:
    """A file size limit stands for the full disk: the kernel refuses the write either way."""
    code = (
        "import resource, signal, sys; from pathlib import Path; "
        "from rvm_export.repository.repository import Repository; "
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); "
        "r = Repository(Path(sys.argv[1]))\n"
        "with r.locked(), r.staging(1) as staged: (staged / 'model.pt').write_bytes(bytes(5000))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "RepositoryError: cannot write the model repository" in run.stderr
    assert names(Repository(tmp_path)) == []


def test_unknown_version_names_the_known(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    with pytest.raises(UsageError, match="has no version; make one"):
        repository.published(None)
    publish(repository, 4, b"")
    with pytest.raises(UsageError, match="has no version 9, but 4"):
        repository.published(9)


def test_manifest_round_trip(tmp_path: Path) -> None:
    manifest = Manifest(
        "aa", "file", "bb", Refiner.FAST, Precision.FP16, "cpu", "2.6", "0.1", "2026-01-01", {}
    )
    manifest.write(tmp_path)
    assert Manifest.read(tmp_path) == manifest


def test_manifest_of_a_newer_program(tmp_path: Path) -> None:
    """Versions travel to machines that are behind."""
    manifest = Manifest(
        "aa", "file", "bb", Refiner.FAST, Precision.FP16, "cpu", "2.6", "0.1", "2026-01-01", {}
    )
    manifest.write(tmp_path)
    path = tmp_path / "manifest.json"
    path.write_text(path.read_text().replace("{", '{"of_tomorrow": 1,', 1))
    assert Manifest.read(tmp_path) == manifest


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"refiner": "x", "precision": "fp32"}'])
def test_damaged_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(RepositoryError, match=r"manifest\.json is damaged"):
        Manifest.read(tmp_path)
