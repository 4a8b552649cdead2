"""What is removed, and that nobody sees half of it; a version that is served stays."""

import contextlib
import shutil
import threading
from pathlib import Path

import pytest
from tests.support.commands import invoke

from rvm_export.cli import main
from rvm_export.repository.config_pbtxt import prepare_config
from rvm_export.repository.policy import ServedVersions, write_served
from rvm_export.repository.repository import Repository
from rvm_export.wire import Layout, ModelKind, Precision

RGB, YUV = ModelKind(), ModelKind(layout=Layout.YUV)


@pytest.fixture
def models(tmp_path: Path) -> tuple[Repository, Repository]:
    """RGB with the versions 1 to 4, YUV with 2 and 3."""
    rgb, yuv = Repository(tmp_path, RGB), Repository(tmp_path, YUV)
    for repository, versions in ((rgb, (1, 2, 3, 4)), (yuv, (2, 3))):
        repository.model_folder.mkdir()
        prepare_config(repository.model_folder, repository.kind, Precision.FP32)
        for version in versions:
            with repository.locked(), repository.staging(version) as staged:
                (staged / "model.pt").write_bytes(b"model")
                repository.publish(staged)
    return rgb, yuv


def run(*arguments: str | int | Path, status: int = 0) -> str:
    result = invoke(main, *arguments)
    assert result.exit_code == status, result.output
    return result.output


def test_a_version_of_all_layouts_is_retired(models: tuple[Repository, Repository]) -> None:
    rgb, yuv = models
    output = run("retire", 2, "--repository", rgb.path)
    assert output.split("\n")[:2] == [f"removed {m.version_folder(2)}" for m in models]
    assert (rgb.versions(), yuv.versions()) == ([1, 3, 4], [3])
    left = sorted(path.name for path in rgb.model_folder.iterdir())
    assert left == ["1", "3", "4", "config.pbtxt", "warmup"]


def test_the_version_that_is_served_is_never_retired(
    models: tuple[Repository, Repository],
) -> None:
    """Without a policy that is the highest, of one layout as well as of all."""
    rgb, yuv = models
    for version in (4, 3):
        output = run("retire", version, "--repository", rgb.path, status=2)
        assert f"version {version} of {'rvm_mobilenetv3' if version == 4 else YUV.name}" in output
        assert "is active" in output
    assert (rgb.versions(), yuv.versions()) == ([1, 2, 3, 4], [2, 3])


def test_what_a_policy_serves_is_never_retired(models: tuple[Repository, Repository]) -> None:
    rgb, yuv = models
    write_served(rgb, ServedVersions(2, (1, 2)))
    assert "is active" in run("retire", 2, "--repository", rgb.path, status=2)
    assert "still served" in run("retire", 1, "--repository", rgb.path, status=2)
    run("retire", 4, "--repository", rgb.path)
    assert (rgb.versions(), yuv.versions()) == ([1, 2, 3], [2, 3])


def test_unknown_versions_are_refused(models: tuple[Repository, Repository]) -> None:
    rgb, _ = models
    assert "has no version 9, but 1, 2, 3, 4" in run(
        "retire", 9, "--repository", rgb.path, status=2
    )
    nowhere = rgb.path / "nowhere"
    assert "has no version" in run("retire", 1, "--repository", nowhere, status=2)
    assert not nowhere.exists()


def test_the_newest_and_the_served_stay(models: tuple[Repository, Repository]) -> None:
    rgb, yuv = models
    write_served(rgb, ServedVersions(1, (1,)))
    output = run("prune", "--keep", 2, "--repository", rgb.path)
    assert output == f"removed {rgb.version_folder(2)}\n"
    assert (rgb.versions(), yuv.versions()) == ([1, 3, 4], [2, 3])
    assert run("prune", "--keep", 9, "--repository", rgb.path) == "Nothing to remove.\n"


def test_what_a_rollback_needs_stays(models: tuple[Repository, Repository]) -> None:
    rgb, yuv = models
    write_served(rgb, ServedVersions(3, (3,), previous=1))
    run("prune", "--keep", 1, "--repository", rgb.path)
    assert (rgb.versions(), yuv.versions()) == ([1, 3, 4], [3])


def test_a_dry_run_removes_nothing(models: tuple[Repository, Repository]) -> None:
    rgb, yuv = models
    output = run("prune", "--keep", 1, "--dry-run", "--repository", rgb.path)
    gone = [rgb.version_folder(n) for n in (1, 2, 3)] + [yuv.version_folder(2)]
    assert output.splitlines() == [f"would remove {folder}" for folder in gone]
    assert "would remove" in run("retire", 1, "--dry-run", "--repository", rgb.path)
    assert (rgb.versions(), yuv.versions()) == ([1, 2, 3, 4], [2, 3])


def test_nobody_sees_half_a_version(models: tuple[Repository, Repository]) -> None:
    """A version of many files is watched while it goes: it is whole as long as it is there."""
    rgb, _ = models
    folder, names = rgb.version_folder(1), {f"file-{n}" for n in range(2000)} | {"model.pt"}
    for name in names:
        (folder / name).touch()
    seen: list[int] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            with contextlib.suppress(FileNotFoundError):
                count = len([*folder.iterdir()])
                # Where it went meanwhile, what was listed had another name by then.
                if folder.exists():
                    seen.append(count)

    watcher = threading.Thread(target=watch)
    watcher.start()
    while not seen:
        ended.wait(0.001)
    with rgb.locked():
        rgb.remove(1)
    ended.set()
    watcher.join()
    assert {*seen} == {len(names)}


def test_what_a_killed_removal_left_goes_with_the_next_change(
    models: tuple[Repository, Repository],
) -> None:
    rgb, _ = models
    hidden = rgb.model_folder / ".staging-killed"
    hidden.mkdir()
    shutil.move(rgb.version_folder(1), hidden)
    assert rgb.versions() == [2, 3, 4]
    run("retire", 2, "--repository", rgb.path)
    assert not hidden.exists()
