"""Little memory is one true line, wherever it is that it runs out."""

import errno
from pathlib import Path

import pytest
from tests.support.clips import index_frame, write_clip
from tests.support.limited import run_limited

from rvm_client.errors import OutOfMemoryError
from rvm_client.machine import naming_want_of_memory

TRANSCODE = """
import resource, sys
from pathlib import Path
from rvm_client.errors import RvmError
from rvm_client.options import Limits, MatteOptions
from rvm_client.pipeline import transcode
source, target, more = sys.argv[1:]
with open("/proc/self/statm") as file:
    now_bytes = int(file.read().split()[0]) * resource.getpagesize()
most_bytes = now_bytes + (int(more) << 20)
resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
try:
    transcode(Path(source), Path(target), MatteOptions(), Limits())
except RvmError as exc:
    print(f"{type(exc).__name__}: {exc}")
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = [index_frame(i, 1920, 1080) for i in range(4)]
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames)


@pytest.mark.parametrize("more_mebibytes", [8, 40, 80, 120])
def test_little_memory_is_said_to_be_that(clip: Path, tmp_path: Path, more_mebibytes: int) -> None:
    """It runs out as the file is opened, as it is decoded, and in the encoder."""
    run = run_limited(TRANSCODE, clip, tmp_path / "out.mp4", more_mebibytes)
    assert run.output.startswith("OutOfMemoryError: the memory or threads that this process may")
    assert run.output.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "exc",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
        RuntimeError("can't start new thread"),
        ImportError("libx.so: failed to map segment from shared object"),
    ],
)
def test_want_of_memory_has_many_names(exc: Exception) -> None:
    with pytest.raises(OutOfMemoryError), naming_want_of_memory():
        raise exc


@pytest.mark.parametrize("exc", [RuntimeError("of another kind"), OSError(2, "no such file")])
def test_other_errors_stay_what_they_are(exc: Exception) -> None:
    with pytest.raises(type(exc), match=str(exc.args[-1])), naming_want_of_memory():
        raise exc
