"""What a process gives up before it meets a stranger's file. Linux; the standard library only.

- It dies with the process that started it, and its memory, processor time, files and descriptors
  are limited (`limit`).
- It can never gain privileges, and the kernel refuses it sockets, new processes, signals, other
  processes' memory, and files to write to (`refuse_calls`: seccomp).
- Of the file system it can read what its libraries need, and one folder (`see_only`: Landlock).
  That also keeps it from what /proc tells of other processes, such as their environment.

The last two are as strong as the kernel allows, and say what it did. The filter is written out
here because the library for it (libseccomp) is not of the Python world: its one binding for pip
has had no release for years, and needs the system's copy of it.
"""

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_GRACE_SECONDS = 5

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38

# linux/seccomp.h, linux/audit.h, linux/bpf_common.h
_SECCOMP_SET_MODE_FILTER = 1
_ALL_THREADS = 1
# Older kernels would else slow the process down, in fear of what it may guess of its own memory.
_AT_FULL_SPEED = 1 << 2
_ALLOW, _FAIL, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_ARCH_X86_64 = 0xC000003E
_X32_CALLS = 0x40000000
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16

_SECCOMP = 317
# By their numbers on x86-64.
_REFUSED = {
    "connect": 42, "accept": 43, "bind": 49, "listen": 50, "accept4": 288,
    "fork": 57, "vfork": 58, "execve": 59, "execveat": 322, "setns": 308, "unshare": 272,
    "kill": 62, "tkill": 200, "tgkill": 234, "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297,
    "pidfd_send_signal": 424, "pidfd_open": 434, "pidfd_getfd": 438,
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "process_madvise": 440,
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "bpf": 321, "perf_event_open": 298, "userfaultfd": 323,
    "add_key": 248, "request_key": 249, "keyctl": 250,
    "truncate": 76, "rename": 82, "mkdir": 83, "rmdir": 84, "creat": 85, "link": 86,
    "unlink": 87, "symlink": 88, "chmod": 90, "fchmod": 91, "chown": 92, "fchown": 93,
    "lchown": 94, "mknod": 133, "mkdirat": 258, "mknodat": 259, "fchownat": 260,
    "unlinkat": 263, "renameat": 264, "linkat": 265, "symlinkat": 266, "fchmodat": 268,
    "renameat2": 316, "fchmodat2": 452,
}  # fmt: skip
# Their arguments lie in memory, where a filter cannot look. C libraries then use the older ones.
_UNKNOWN = {"clone3": 435, "openat2": 437}
_SOCKET, _CLONE, _OPEN, _OPENAT = 41, 56, 2, 257
# What CUDA needs of the refused ones: it makes sockets of this machine, for itself.
_OF_CUDA = ("bind", "listen", "accept", "accept4", "connect")
_AF_UNIX = 1
_CLONE_THREAD = 0x10000
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

# linux/landlock.h
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1
_WRITE_FILE, _READ_FILE, _READ_FOLDER, _IOCTL_DEVICE = 1 << 1, 1 << 2, 1 << 3, 1 << 15
# The rights to files that each version knows are the lowest so many bits.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_LATEST_FILE_RIGHTS = 16
_CONNECT_AND_BIND = 0b11
_SIGNALS_AND_ABSTRACT_SOCKETS = 0b11
# Where libraries are, and what CUDA looks at.
_SYSTEM_FOLDERS = ("/usr", "/lib", "/lib64", "/opt", "/etc/ld.so.cache")
# Not all of /proc: a process of root may read there what others have.
_CUDA_FOLDERS = (
    "/sys", "/proc/driver", "/proc/devices", "/proc/modules", "/proc/cpuinfo", "/proc/meminfo",
    "/proc/sys", "/proc/version",
)  # fmt: skip
_CUDA_DEVICES = "nvidia*"

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class ProcessLimits:
    """What a process may use."""

    memory_bytes: int
    """Of its own: neither what it shares nor the files it maps."""
    cpu_seconds: int
    descriptors: int = 256


def limit(limits: ProcessLimits, parent: int) -> None:
    """Die with the thread that started this process, and stay within limits.

    Args:
        limits: what may be used.
        parent: the process that started this one.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        # It was faster.
        os._exit(1)
    # Not the address space: CUDA reserves more of it than any machine has memory.
    _lower(resource.RLIMIT_DATA, limits.memory_bytes)
    # At the first limit the signal says why, at the second it is the kernel's last one.
    _lower(resource.RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + _GRACE_SECONDS)
    _lower(resource.RLIMIT_NOFILE, limits.descriptors)
    for unwanted in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        _lower(unwanted, 0)


def _lower(which: int, soft: int, hard: int | None = None) -> None:
    _, given = resource.getrlimit(which)
    hard = soft if hard is None else hard
    hard = hard if given == resource.RLIM_INFINITY else min(hard, given)
    resource.setrlimit(which, (min(soft, hard), hard))


def refuse_calls(*, uses_gpu: bool) -> bool:
    """Give up privileges and system calls for good, in all threads; whether the kernel did so.

    Args:
        uses_gpu: leave what CUDA needs: device files that are written to, and sockets of this
            machine.
    """
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if platform.machine() != "x86_64":
        return False
    program = b"".join(_filter(uses_gpu))
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    flags = _ALL_THREADS | _AT_FULL_SPEED
    return bool(_libc.syscall(_SECCOMP, _SECCOMP_SET_MODE_FILTER, flags, header) == 0)


def _filter(uses_gpu: bool) -> Iterator[bytes]:
    yield _step(_LOAD, _ARCH_AT)
    yield _step(_IF_EQUAL, _ARCH_X86_64, otherwise=0, then=1)
    yield _step(_RETURN, _KILL)
    yield _step(_LOAD, _NUMBER_AT)
    yield _step(_IF_AT_LEAST, _X32_CALLS, otherwise=1)
    yield _step(_RETURN, _KILL)
    for name, number in _REFUSED.items():
        if not (uses_gpu and name in _OF_CUDA):
            yield from _fail(number, errno.EPERM)
    for number in _UNKNOWN.values():
        yield from _fail(number, errno.ENOSYS)
    # Threads are no new processes.
    yield from _if_bits(_CLONE, 0, _CLONE_THREAD, then=_ALLOW, otherwise=_FAIL | errno.EPERM)
    if uses_gpu:
        yield from _if_equal(_SOCKET, 0, _AF_UNIX, otherwise=_FAIL | errno.EPERM)
    else:
        yield from _fail(_SOCKET, errno.EPERM)
        for number, argument in ((_OPEN, 1), (_OPENAT, 2)):
            yield from _if_bits(
                number, argument, _WRITING, then=_FAIL | errno.EPERM, otherwise=_ALLOW
            )
    yield _step(_RETURN, _ALLOW)


def _fail(number: int, error: int) -> Iterator[bytes]:
    yield _step(_IF_EQUAL, number, otherwise=1)
    yield _step(_RETURN, _FAIL | error)


def _if_bits(number: int, argument: int, bits: int, *, then: int, otherwise: int) -> list[bytes]:
    return _by_argument(number, argument, _step(_IF_BITS, bits, otherwise=1), then, otherwise)


def _if_equal(number: int, argument: int, value: int, *, otherwise: int) -> list[bytes]:
    return _by_argument(number, argument, _step(_IF_EQUAL, value, otherwise=1), _ALLOW, otherwise)


def _by_argument(number: int, argument: int, test: bytes, then: int, otherwise: int) -> list[bytes]:
    return [
        _step(_IF_EQUAL, number, otherwise=4),
        _step(_LOAD, _ARGUMENTS_AT + 8 * argument),
        test,
        _step(_RETURN, then),
        _step(_RETURN, otherwise),
    ]


def _step(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    """One instruction; `then` and `otherwise` are how many to pass over."""
    return struct.pack("HBBI", code, then, otherwise, value)


def see_only(folder: Path, libraries: Sequence[str], *, uses_gpu: bool) -> bool:
    """Leave this thread, and those it starts, one folder and the libraries to read.

    Returns whether the kernel did so; it has to know Landlock (5.13, and not turned off).
    """
    version = _libc.syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)
    if version < 1:
        return False
    rights = (1 << _FILE_RIGHTS.get(version, _LATEST_FILE_RIGHTS)) - 1
    attributes = struct.pack("QQQ", rights, _CONNECT_AND_BIND, _SIGNALS_AND_ABSTRACT_SOCKETS)
    if uses_gpu:
        attributes = struct.pack("Q", rights)
    known = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = _libc.syscall(_CREATE_RULESET, attributes, min(known, len(attributes)), 0)
    if ruleset < 0:
        return False
    try:
        for path in (str(folder), *_SYSTEM_FOLDERS, *libraries):
            _grant(ruleset, Path(path), _READ_FILE | _READ_FOLDER)
        if uses_gpu:
            for path in (*_CUDA_FOLDERS, f"/proc/{os.getpid()}"):
                _grant(ruleset, Path(path), _READ_FILE | _READ_FOLDER)
            for device in Path("/dev").glob(_CUDA_DEVICES):
                _grant(ruleset, device, (_READ_FILE | _WRITE_FILE | _IOCTL_DEVICE) & rights)
        return bool(_libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _grant(ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not path.is_dir():
            rights &= ~_READ_FOLDER
        rule = struct.pack("=Qi", rights, descriptor)
        _libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)
