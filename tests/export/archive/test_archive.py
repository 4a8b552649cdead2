"""A version travels in one archive: made the same each time, trusted in nothing."""

import gzip
import hashlib
import io
import json
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from tests.support import http_faults as faults
from tests.support.commands import invoke
from tests.support.http_faults import FaultyServer

from rvm_export.archive import fetch
from rvm_export.archive.contents import MAX_MEMBERS, max_bytes, sums_text
from rvm_export.archive.pack import pack
from rvm_export.archive.unpack import unpack
from rvm_export.cli import main
from rvm_export.errors import ArchiveError
from rvm_export.hashes import sha256_of
from rvm_export.repository.policy import ServedVersions, served_versions, write_served
from rvm_export.repository.repository import Repository
from rvm_export.transfer import TimeLimits
from rvm_export.wire import Layout, ModelKind

RGB, YUV = ModelKind(), ModelKind(layout=Layout.YUV)
Members = dict[str, bytes]


def run(*arguments: str | int | Path, status: int = 0) -> Result:
    result = invoke(main, *arguments)
    assert result.exit_code == status, result.output
    return result


@pytest.fixture(scope="module")
def both(yuv_model_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of version 1 with its two layouts, as the command makes it."""
    archive = tmp_path_factory.mktemp("both") / "v1.tar.gz"
    result = run("package", 1, "-o", archive, "--repository", yuv_model_repository)
    assert result.stdout == f"{archive} {sha256_of(archive)}\n"
    return archive


@pytest.fixture(scope="module")
def one(model_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of version 1 with its RGB model alone."""
    archive = tmp_path_factory.mktemp("one") / "v1.tar.gz"
    pack([Repository(model_repository)], 1, archive)
    return archive


@pytest.fixture(scope="module")
def members(one: Path) -> Members:
    """The files of that archive."""
    with tarfile.open(one) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]


# --- package


def test_the_same_files_give_the_same_bytes(
    one: Path, model_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At another time, in another place, with other times, of another umask."""
    copied = shutil.copytree(model_repository, tmp_path / "copy", copy_function=shutil.copy)
    for path in copied.rglob("model.pt"):
        path.chmod(0o600)
    monkeypatch.chdir(tmp_path)
    time.sleep(1.1)  # the times of gzip and tar have no fractions
    result = run("package", 1, "--repository", copied)
    assert result.stdout == f"rvm_mobilenetv3-1.tar.gz {sha256_of(one)}\n"
    assert Path("rvm_mobilenetv3-1.tar.gz").read_bytes() == one.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "rvm_mobilenetv3-1.tar.gz"]


def test_sha256sum_agrees(both: Path, yuv_model_repository: Path, tmp_path: Path) -> None:
    """The tools that each system has unpack and check it; unpacked it is a repository."""
    subprocess.run(["tar", "xzf", both], cwd=tmp_path, check=True)
    done = subprocess.run(
        ["sha256sum", "--strict", "--check", "SHA256SUMS"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert done.stdout.count(": OK") == len(files) - 1
    packed = {
        f"{path.relative_to(yuv_model_repository)}" for path in yuv_model_repository.rglob("*")
    }
    assert files - packed == {"LICENSE", "SHA256SUMS"}
    licence = (tmp_path / "LICENSE").read_text()
    manifest = json.loads((tmp_path / RGB.name / "1" / "manifest.json").read_text())
    assert "GPL-3.0" in licence
    assert manifest["weights_source"] in licence
    assert manifest["weights_sha256"] in licence


def test_a_damaged_version_is_not_packed(model_repository: Path, tmp_path: Path) -> None:
    repository = shutil.copytree(model_repository, tmp_path / "r")
    with (repository / RGB.name / "1" / "model.pt").open("ab") as model:
        model.write(b"more")
    result = run("package", 1, "-o", tmp_path / "a", "--repository", repository, status=4)
    assert "but its manifest says" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_a_version_that_is_not_there_and_a_place_that_is_not(
    model_repository: Path, tmp_path: Path
) -> None:
    result = run("package", 7, "--repository", model_repository, status=2)
    assert "has no version 7, but 1" in result.stderr
    target = tmp_path / "no" / "a.tar.gz"
    result = run("package", 1, "-o", target, "--repository", model_repository, status=5)
    assert f"cannot write {target}: No such file or directory" in result.stderr


# --- import


def test_both_layouts_come_back_as_they_were(
    both: Path, yuv_model_repository: Path, tmp_path: Path
) -> None:
    result = run("import", both, "--repository", tmp_path / "r", "--sha256", sha256_of(both))
    folders = [tmp_path / "r" / kind.name / "1" for kind in (RGB, YUV)]
    assert result.stdout.split() == [str(folder) for folder in folders]
    for path in yuv_model_repository.rglob("*"):
        if path.is_file():
            copy = tmp_path / "r" / path.relative_to(yuv_model_repository)
            assert copy.read_bytes() == path.read_bytes()


def test_a_number_that_is_taken_is_never_overwritten(
    one: Path, model_repository: Path, tmp_path: Path
) -> None:
    """It gets another one where that is asked for; the repository's config stays as it is."""
    model = Repository(shutil.copytree(model_repository, tmp_path / "r"))
    write_served(model, ServedVersions(1, (1,)))
    config = (model.model_folder / "config.pbtxt").read_text()
    refused = run("import", one, "--repository", model.path, status=2)
    assert "version 1 is in" in refused.stderr
    assert "--version 2" in refused.stderr
    done = run("import", one, "--version", 2, "--no-verify", "--repository", model.path)
    assert done.stdout == f"{model.version_folder(2)}\n"
    refused = run("import", one, "--version", 2, "--repository", model.path, status=2)
    assert "version 2 is in" in refused.stderr
    assert model.versions() == [1, 2]
    assert (model.model_folder / "config.pbtxt").read_text() == config
    assert served_versions(model) == ServedVersions(1, (1,))


def test_what_is_active_does_not_travel(model_repository: Path, tmp_path: Path) -> None:
    source = Repository(shutil.copytree(model_repository, tmp_path / "r"))
    write_served(source, ServedVersions(1, (1,)))
    pack([source], 1, tmp_path / "a.tar.gz")
    (tmp_path / "u").mkdir()
    unpack(tmp_path / "a.tar.gz", tmp_path / "u")
    assert (tmp_path / "u" / RGB.name / "config.pbtxt").read_bytes() == (
        model_repository / RGB.name / "config.pbtxt"
    ).read_bytes()


def test_another_precision_is_refused(
    one: Path, half_model_repository: Path, tmp_path: Path
) -> None:
    repository = shutil.copytree(half_model_repository, tmp_path / "r")
    result = run("import", one, "--version", 2, "--repository", repository, status=2)
    assert "are fp16, and one model has one precision" in result.stderr
    assert Repository(repository).versions() == [1]


def test_a_model_that_computes_something_else_is_refused(
    members: Members, model_repository: Path, half_model_repository: Path, tmp_path: Path
) -> None:
    """Whole, with all its hashes right; but it is not the model that it says it is."""
    folder = half_model_repository / RGB.name / "1"
    manifest = json.loads((folder / "manifest.json").read_text()) | {"precision": "fp32"}
    files = members | {
        f"{RGB.name}/1/model.pt": (folder / "model.pt").read_bytes(),
        f"{RGB.name}/1/manifest.json": json.dumps(manifest).encode(),
    }
    repository = shutil.copytree(model_repository, tmp_path / "r")
    archive = written(tmp_path / "a", with_sums(files))
    result = run("import", archive, "--version", 2, "--repository", repository, status=4)
    assert "rvm-export: " in result.stderr
    left = {path.name for path in (repository / RGB.name).iterdir()}
    assert left == {"1", "config.pbtxt", "warmup"}


WITHOUT_PYTORCH = """
import json, sys
sys.modules["torch"] = None
from click.testing import CliRunner
from rvm_export.cli import main
for arguments in json.load(sys.stdin):
    done = CliRunner().invoke(main, arguments)
    print(json.dumps([done.exit_code, done.stdout, done.stderr]))
"""


def test_where_no_pytorch_is(one: Path, tmp_path: Path) -> None:
    """Versions are packed, taken in by their hashes, and removed; verified they are not."""
    path, again = str(tmp_path / "r"), str(tmp_path / "again")
    taken_in = ["import", str(one), "--no-verify"]
    calls = [
        ["import", str(one)],
        taken_in,
        [*taken_in, "--version", "2"],
        ["package", "1", "-o", again],
        ["retire", "1"],
        ["prune", "--keep", "1"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PYTORCH],
        input=json.dumps([[*call, "--repository", path] for call in calls]),
        capture_output=True,
        text=True,
        check=True,
    )
    refused, first, second, packed, retired, pruned = map(json.loads, done.stdout.splitlines())
    assert refused[:2] == [2, ""]
    assert refused[2].startswith("rvm-export: the model cannot be verified here, as torch is")
    for number, (status, stdout, stderr) in enumerate((first, second), 1):
        assert (status, stdout) == (0, f"{path}/{RGB.name}/{number}\n")
        assert "is not verified" in stderr
    assert packed == [0, f"{again} {sha256_of(one)}\n", ""]
    assert retired == [0, f"removed {path}/{RGB.name}/1\n", ""]
    assert pruned == [0, "", "Nothing to remove.\n"]


# --- archives that anybody may have made


def with_sums(files: Members) -> Members:
    """The same with a SHA256SUMS that is right."""
    rest = {name: data for name, data in files.items() if name != "SHA256SUMS"}
    hashes = {name: hash_of(data) for name, data in rest.items()}
    return rest | {"SHA256SUMS": sums_text(hashes).encode()}


def hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def entry(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def written(
    path: Path,
    files: Members,
    *extra: tuple[tarfile.TarInfo, bytes],
    kind: int = tarfile.USTAR_FORMAT,
) -> Path:
    with (
        gzip.open(path, "wb", 1) as packed,
        tarfile.open(fileobj=packed, mode="w", format=kind) as archive,
    ):
        for info, data in [*(entry(*item) for item in files.items()), *extra]:
            archive.addfile(info, io.BytesIO(data))
    return path


def refusal(archive: Path, tmp_path: Path) -> str:
    """Why an archive is refused; nothing of it is outside the folder it is unpacked into."""
    folder = tmp_path / "inner" / "unpacked"
    folder.mkdir(parents=True)
    with pytest.raises(ArchiveError) as refused:
        unpack(archive, folder)
    assert [path.name for path in folder.parent.iterdir()] == ["unpacked"]
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    return str(refused.value)


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        f"{RGB.name}/../../evil",
        f"{RGB.name}/warmup/../../../evil",
        f"{RGB.name}/1/../../../evil",
        "/tmp/rvm-evil",
        f"{RGB.name}/1/model.py",
        f"{RGB.name}/01/model.pt",
        "rvm_other/1/model.pt",
        f"{RGB.name}/warmup/.hidden",
        f"{RGB.name}\n/1/model.pt",
    ],
)
def test_names_that_a_version_has_not(members: Members, tmp_path: Path, name: str) -> None:
    archive = written(tmp_path / "a", members, entry(name, b"evil"))
    assert "which is none of a version's" in refusal(archive, tmp_path)
    assert not Path("/tmp/rvm-evil").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_whatever_is_no_file(members: Members, tmp_path: Path, kind: bytes) -> None:
    name = f"{RGB.name}/warmup/link"
    archive = written(tmp_path / "a", members, entry(name, type=kind, linkname="/etc/passwd"))
    assert "is not an ordinary file" in refusal(archive, tmp_path)


def test_a_name_that_comes_twice(members: Members, tmp_path: Path) -> None:
    archive = written(tmp_path / "a", members, entry("LICENSE", b"another"))
    assert "'LICENSE' twice" in refusal(archive, tmp_path)


def test_more_files_than_a_version_has(members: Members, tmp_path: Path) -> None:
    many = [entry(f"{RGB.name}/warmup/{n}") for n in range(MAX_MEMBERS)]
    archive = written(tmp_path / "a", members, *many)
    assert f"more than {MAX_MEMBERS} files" in refusal(archive, tmp_path)


def test_a_file_larger_than_it_may_be(members: Members, tmp_path: Path) -> None:
    name = f"{RGB.name}/warmup/large"
    archive = written(tmp_path / "a", members, entry(name, bytes(max_bytes(name) + 1)))
    assert f"at most {max_bytes(name)} are accepted" in refusal(archive, tmp_path)


def test_a_header_that_wants_all_memory(tmp_path: Path) -> None:
    """A long name is read at once by Python's reader: here it says that it has 512 MiB."""
    archive = tmp_path / "a"
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**29
    with gzip.open(archive, "wb", 1) as packed:
        packed.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(2**9):
            packed.write(bytes(2**20))
    assert "more than a version has" in refusal(archive, tmp_path)


def test_names_in_extended_headers(members: Members, tmp_path: Path) -> None:
    """They can say another size or name than the header that was looked at."""
    info, data = entry("LICENSE", members["LICENSE"], pax_headers={"comment": "evil"})
    rest = {name: content for name, content in members.items() if name != "LICENSE"}
    archive = written(tmp_path / "a", rest, (info, data), kind=tarfile.PAX_FORMAT)
    assert "'LICENSE' in the archive is not an ordinary file" in refusal(archive, tmp_path)


def damaged_model(files: Members) -> Members:
    name = f"{RGB.name}/1/model.pt"
    return files | {name: files[name][:-1] + b"?"}


def without(name: str) -> Callable[[Members], Members]:
    return lambda files: {n: data for n, data in files.items() if n != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (damaged_model, "model.pt in the archive has the SHA-256"),
        (without(f"{RGB.name}/1/golden.npz"), "has no rvm_mobilenetv3/1/golden.npz"),
        (without("SHA256SUMS"), "has no SHA256SUMS"),
        (without(f"{RGB.name}/warmup/downsample_ratio_0.25"), "which its SHA256SUMS names"),
        (lambda files: files | {"SHA256SUMS": b"damaged"}, "SHA256SUMS is damaged"),
        (lambda files: files | {f"{RGB.name}/warmup/x": b""}, "says nothing of it"),
        (lambda files: files | {f"{RGB.name}/2/model.pt": b""}, "2 versions of 1 models"),
        (lambda _files: {}, "0 versions of 0 models"),
    ],
)  # fmt: skip
def test_what_is_not_whole(
    members: Members, tmp_path: Path, change: Callable[[Members], Members], message: str
) -> None:
    archive = written(tmp_path / "a", change(members))
    assert message in refusal(archive, tmp_path)


@pytest.mark.parametrize("cut", [0, 100, 5000, 2_000_000], ids=str)
def test_an_archive_that_is_cut_short(one: Path, tmp_path: Path, cut: int) -> None:
    archive = tmp_path / "a"
    archive.write_bytes(one.read_bytes()[:cut])
    assert f"{archive} is damaged" in refusal(archive, tmp_path)


def test_a_config_of_another_model(members: Members, tmp_path: Path) -> None:
    name = f"{RGB.name}/config.pbtxt"
    files = members | {name: members[name].replace(b"FP32", b"FP16")}
    archive = written(tmp_path / "a", with_sums(files))
    result = run("import", archive, "--repository", tmp_path / "r", status=5)
    assert "is not that of a fp32 rvm_mobilenetv3" in result.stderr
    assert not (tmp_path / "r").exists()


# --- from a URL


def test_from_a_url(one: Path, tmp_path: Path) -> None:
    with FaultyServer() as server:
        server.answers(faults.status(503), faults.whole(one.read_bytes()))
        result = run("import", server.url("/v1.tar.gz?key=secret"), "--repository", tmp_path)
        assert len(server.requests) == 2
    assert result.stdout == f"{tmp_path / RGB.name / '1'}\n"
    assert Repository(tmp_path).versions() == [1]


def test_another_file_than_was_meant(one: Path, tmp_path: Path) -> None:
    with FaultyServer() as server:
        server.answers(faults.whole(one.read_bytes()))
        url = server.url("/v1.tar.gz?key=secret")
        wrong = run("import", url, "--sha256", "ab" * 32, "--repository", tmp_path, status=5)
    assert f"has the SHA-256 {sha256_of(one)}, not {'ab' * 32}" in wrong.stderr
    assert "secret" not in wrong.output
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (faults.status(404), "answered 404"),
        (faults.silent(b"some"), "broke off: ReadTimeoutError"),
        (faults.endless(b"x", 0.01), "takes too long"),
        (faults.endless(bytes(2**20), 0.0), "sends more than"),
    ],
    ids=["404", "silent", "trickle", "endless"],
)
def test_what_cannot_be_fetched(
    tmp_path: Path, answer: faults.Answer, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MAX_ARCHIVE_BYTES", 10 * 2**20)
    limits = TimeLimits(connect_s=0.5, idle_s=0.2, total_s=2)
    with FaultyServer() as server:
        server.answers(answer)
        with pytest.raises(ArchiveError, match=message) as refused:
            fetch.fetch_archive(
                server.url("/a?key=secret"), tmp_path / "a", lambda *_: None, limits
            )
    assert "secret" not in str(refused.value)


def test_nothing_at_the_place(tmp_path: Path, unused_port: int) -> None:
    missing = run("import", tmp_path / "missing", status=5)
    assert f"there is no file {tmp_path / 'missing'}" in missing.stderr
    refused = run("import", f"http://127.0.0.1:{unused_port}/a", status=5)
    assert "cannot reach http://127.0.0.1" in refused.stderr


@pytest.fixture
def unused_port() -> int:
    """A port of loopback at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
