"""Leftovers go with the next start, and what lives stays, whoever looks: with real processes."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from rvm_client.owned import OwnedFile, OwnedFolder, identity, is_gone, part_file, sweep

# Makes a folder and a part file, says so, and stays.
OWNER = """
import sys, time
from pathlib import Path
from rvm_client.owned import OwnedFolder, identity, part_file
folder = OwnedFolder("rvm-test", Path(sys.argv[1]))
(folder.path / "deep").mkdir()
(folder.path / "deep" / "source").touch()
part = part_file(Path(sys.argv[1]) / "out.mp4")
print(identity(), flush=True)
time.sleep(600)
"""


@contextmanager
def owner(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that owns something in `folder`."""
    command = [sys.executable, "-c", OWNER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_what_a_killed_process_left_goes_with_the_next_start(
    tmp_path: Path, number: signal.Signals
) -> None:
    with owner(tmp_path) as process:
        assert said(process)
        left = names(tmp_path)
        assert len(left) == 2
        process.send_signal(number)
        process.wait(30)
    assert names(tmp_path) == left
    with OwnedFolder("rvm-test", tmp_path) as ours, part_file(tmp_path / "b.mp4") as part:
        assert set(names(tmp_path)) == {ours.path.name, part.path.name}
    assert names(tmp_path) == []


def test_what_lives_is_left_alone(tmp_path: Path) -> None:
    with owner(tmp_path) as one, owner(tmp_path) as other:
        assert said(one)
        assert said(other)
        assert len(names(tmp_path)) == 4
        with OwnedFolder("rvm-test", tmp_path), part_file(tmp_path / "b.mp4"):
            assert len(names(tmp_path)) == 6
        one.kill()
        one.wait(30)
        sweep(tmp_path, "rvm-test-")
        sweep(tmp_path, ".", ".part")
        assert len(names(tmp_path)) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a namespace of processes")
def test_a_container_that_counts_its_processes_itself_is_left_alone(tmp_path: Path) -> None:
    command = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", OWNER]
    command.append(str(tmp_path))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        mark = said(process)
        if not mark:
            pytest.skip("no namespace of processes can be made here")
        sweep(tmp_path, "rvm-test-")
        sweep(tmp_path, ".", ".part")
        assert len(names(tmp_path)) == 2
        assert not is_gone(mark)
        process.kill()
        # The end of the container's processes comes a moment after its own.
        ends_s = time.monotonic() + 30
        while names(tmp_path) and time.monotonic() < ends_s:
            sweep(tmp_path, "rvm-test-")
            sweep(tmp_path, ".", ".part")
    assert names(tmp_path) == []


def test_a_process_that_inherits_the_lock_keeps_it(tmp_path: Path) -> None:
    folder = OwnedFolder("rvm-test", tmp_path)
    sleeper = subprocess.Popen(["sleep", "600"], pass_fds=[folder.descriptor])
    os.close(folder.descriptor)
    sweep(tmp_path, "rvm-test-")
    assert names(tmp_path) == [folder.path.name]
    sleeper.kill()
    sleeper.wait()
    sweep(tmp_path, "rvm-test-")
    assert names(tmp_path) == []


def test_only_names_of_ours_and_of_this_boot_are_taken_for_leftovers(tmp_path: Path) -> None:
    with part_file(tmp_path / "out.mp4") as part:
        mark = part.path.name.split(".")[-2]
    others = [
        ".out.mp4.part",
        f".out.mp4.{mark}.part.txt",
        f".out.mp4.{mark[:-1]}.part",
        f".out.mp4.{'0' * 8}{mark[8:]}.part",
        f"out.mp4.{mark}.part",
    ]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / f".linked.{mark}.part").symlink_to(tmp_path / others[0])
    os.mkfifo(tmp_path / f".pipe.{mark}.part", 0o200)
    (tmp_path / f".left.{mark}.part").touch()
    sweep(tmp_path, ".", ".part")
    assert f".left.{mark}.part" not in names(tmp_path)
    assert {*others, f".linked.{mark}.part"} <= {*names(tmp_path)}


def test_a_published_file_stays(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_text("older")
    with part_file(tmp_path / "out.mp4") as part:
        part.path.write_text("new")
        part.publish(tmp_path / "out.mp4")
    assert names(tmp_path) == ["out.mp4"]
    assert (tmp_path / "out.mp4").read_text() == "new"


def test_a_name_of_the_greatest_length_has_a_part_file(tmp_path: Path) -> None:
    target = tmp_path / ("ä" * 125 + ".mp4")
    with part_file(target) as part:
        part.publish(target)
    assert names(tmp_path) == [target.name]


def test_many_at_once_take_nothing_from_each_other(tmp_path: Path) -> None:
    """Each start sweeps while others are between making a thing and locking it."""
    start = threading.Barrier(8)

    def own() -> None:
        start.wait()
        for _ in range(40):
            with part_file(tmp_path / "out.mp4") as part, OwnedFolder("rvm-test", tmp_path) as made:
                assert part.path.exists()
                assert made.path.is_dir()

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(own) for _ in range(8)]:
            done.result()
    assert names(tmp_path) == []


def test_an_identity_is_gone_with_its_process(tmp_path: Path) -> None:
    with owner(tmp_path) as process:
        mark = said(process)
        assert not is_gone(mark)
        process.kill()
    assert is_gone(mark)
    number, started, counting = identity().split("-")
    assert not is_gone(identity())
    assert is_gone(f"{number}-{int(started) - 1}-{counting}")  # its number was given again
    assert not is_gone(f"4194304-{started}-{int(counting) + 1}")  # counted elsewhere


def test_folders_are_made_where_temporary_files_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with OwnedFolder("rvm-test") as made:
        assert made.path.parent == tmp_path
        assert made.path.stat().st_mode & 0o777 == 0o700


def test_a_file_may_be_its_owners_alone(tmp_path: Path) -> None:
    with OwnedFile(tmp_path, "segment-", mode=0o600) as made:
        assert made.path.stat().st_mode & 0o777 == 0o600


# It is there, and about to be opened once more to be locked.
STOPPED = """
import os, signal, sys
from pathlib import Path
from rvm_client.owned import OwnedFolder, part_file
from rvm_client.signals import stop_on_signals
stop_on_signals()
folder = Path(sys.argv[1])
struck = False
def strike(event, arguments):
    global struck
    if event == "open" and not struck and any(folder.iterdir()):
        struck = True
        os.kill(os.getpid(), signal.SIGTERM)
        [None for _ in range(10)]
sys.addaudithook(strike)
try:
    if sys.argv[2] == "file":
        made = part_file(folder / "out.mp4")
    else:
        made = OwnedFolder("rvm-test", folder)
except KeyboardInterrupt:
    sys.exit(7)
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_signal_while_it_is_made_leaves_nothing(tmp_path: Path, kind: str) -> None:
    done = subprocess.run([sys.executable, "-c", STOPPED, str(tmp_path), kind])
    assert done.returncode == 7
    assert names(tmp_path) == []
