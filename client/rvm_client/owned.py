"""Files and folders that go with the process that made them, however it ends.

Whoever makes one locks it (`flock`), and the system gives the lock back when the last process that
holds it is gone. So what has a name of ours and no lock is a leftover, and whoever makes the next
one in the same place removes it. Numbers of processes would not do: containers that share a folder
count their processes each for itself.

Names carry the machine's boot: of another machine that shares the folder no lock may be seen. Where
a file system knows no locks, nothing is taken for a leftover.
"""

import fcntl
import functools
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rvm_client.closing import Closing
from rvm_client.signals import signals_held

_BOOT_FILE = Path("/proc/sys/kernel/random/boot_id")
_TOKEN_BYTES = 6
# A name made of the longest start, in four bytes a character, still has room for the rest.
_LONGEST_START = 50


class OwnedFile(Closing):
    """A new file, which is this process's until it is closed, published or the process ends.

    Args:
        folder: where it is made.
        start: of its name.
        end: of its name.
        mode: its permissions, less those of the umask.

    Raises:
        OSError: it cannot be made.
    """

    descriptor = -1

    def __init__(self, folder: Path, start: str, end: str = "", *, mode: int = 0o666) -> None:
        def make() -> Path:
            path = folder / _new_name(start, end)
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode))
            return path

        with _whole_or_not(self):
            self.path, self.descriptor = _hold(make, os.O_RDWR)

    def publish(self, target: Path) -> None:
        """Give it another name, in place of an older file, and let go of it."""
        self.path.replace(target)
        self._release()

    def close(self) -> None:
        """Remove the file, unless it was published."""
        self.path.unlink(missing_ok=True)
        self._release()

    def _release(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class OwnedFolder(Closing):
    """A new folder with all that is in it, owned as an `OwnedFile`; leftovers beside it go.

    Args:
        prefix: what its name and those of its kind start with.
        parent: where it is made; None: the folder for temporary files.
        remove: removes a leftover of its kind, where more belongs to it than the folder.

    Raises:
        OSError: it cannot be made.
    """

    descriptor = -1

    def __init__(
        self,
        prefix: str,
        parent: Path | None = None,
        remove: Callable[[Path], None] | None = None,
    ) -> None:
        folder = parent or Path(tempfile.gettempdir())
        sweep(folder, f"{prefix}-", remove=remove)

        def make() -> Path:
            path = folder / _new_name(f"{prefix}-")
            path.mkdir(mode=0o700)
            return path

        with _whole_or_not(self):
            self.path, self.descriptor = _hold(make, os.O_RDONLY | os.O_DIRECTORY)

    def close(self) -> None:
        """Remove the folder, as far as that is allowed."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def part_file(target: Path) -> OwnedFile:
    """A hidden file beside `target`, to take its place when it is whole; leftovers beside it go.

    Raises:
        OSError: it cannot be made.
    """
    sweep(target.parent, ".", ".part")
    return OwnedFile(target.parent, f".{target.name[:_LONGEST_START]}.", ".part")


def sweep(
    folder: Path, start: str, end: str = "", *, remove: Callable[[Path], None] | None = None
) -> None:
    """Remove what processes of this user and boot left in `folder`, by the ends of its names."""
    pattern = re.compile(
        rf"{re.escape(start)}(?s:.*){_boot()}-[0-9a-f]{{{2 * _TOKEN_BYTES}}}{re.escape(end)}"
    )
    with suppress(OSError):
        for path in folder.iterdir():
            if pattern.fullmatch(path.name):
                _remove_if_left(path, remove)


def identity() -> str:
    """This process, as a name tells it: its number, its start, and where numbers are counted so."""
    return f"{os.getpid()}-{_started(os.getpid())}-{_counting()}"


def is_gone(owner: str) -> bool:
    """Whether the process of that `identity` has ended; False where it cannot be known."""
    number, started, counting = map(int, owner.split("-"))
    return counting == _counting() and _started(number) != started


def _started(number: int) -> int | None:
    """When a process started, in ticks since the boot; None: there is none."""
    try:
        text = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return None
    # The name of the program, in parentheses, may have spaces and parentheses in it.
    return int(text.rpartition(")")[2].split()[19])


def _counting() -> int:
    """The namespace in which processes are counted."""
    return Path("/proc/self/ns/pid").stat().st_ino


def _new_name(start: str, end: str = "") -> str:
    return f"{start}{_boot()}-{secrets.token_hex(_TOKEN_BYTES)}{end}"


@functools.cache
def _boot() -> str:
    """What tells this run of this machine from all others; 8 hexadecimal digits."""
    try:
        return _BOOT_FILE.read_text()[:8]
    except OSError:
        return "00000000"


@contextmanager
def _whole_or_not(owned: OwnedFile | OwnedFolder) -> Iterator[None]:
    """Let a signal wait until it is made, and then remove it."""
    try:
        with signals_held():
            yield
    except BaseException:
        if owned.descriptor >= 0:
            owned.close()
        raise


def _hold(make: Callable[[], Path], flags: int) -> tuple[Path, int]:
    """Make something and lock it. Returns its path, and the descriptor that has the lock."""
    while True:
        path = make()
        # A sweep may find it before it has its lock, and lock and remove it.
        with suppress(FileNotFoundError):
            descriptor = os.open(path, flags)
            if _lock(descriptor) and _is_at(path, descriptor):
                return path, descriptor
            os.close(descriptor)
            _remove(path)


def _lock(descriptor: int) -> bool:
    """Lock what is open, as far as the file system can. False: somebody else was faster."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _remove_if_left(path: Path, remove: Callable[[Path], None] | None) -> None:
    # Strangers may make things with such names where all may write: links, and pipes to wait at.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    with suppress(OSError):
        descriptor = os.open(path, flags)
        try:
            if os.fstat(descriptor).st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(path, descriptor):
                    (remove or _remove)(path)
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the path still names what the descriptor has open."""
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False
