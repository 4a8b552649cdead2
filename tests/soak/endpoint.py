"""RunPod's side of one worker, which is started anew whenever it has ended."""

import contextlib
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil
from tests.support.runpod_server import RunPodServer

SEGMENTS = Path("/dev/shm")
_SETTINGS = {
    "RVM_ALLOW_PRIVATE_ADDRESSES": "true",
    "RVM_JOBS_AT_ONCE": "2",
    # What hangs is to be found out soon.
    "RVM_REQUEST_TIMEOUT_S": "10",
    "RVM_DECODER_TIMEOUT_S": "10",
    "OMP_NUM_THREADS": "1",
}
_END_S = 60.0


@dataclass(frozen=True)
class Holdings:
    """What a worker and its children have."""

    processes: int
    descriptors: int
    memory_mb: int
    files: int

    def __str__(self) -> str:
        return (
            f"{self.processes} processes, {self.descriptors} descriptors, {self.memory_mb} MB, "
            f"{self.files} temporary files"
        )


class Endpoint:
    """A context manager. The worker's log is in `folder/worker.log`."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.results = folder / "results"
        self._temporary = folder / "tmp"
        self._temporary.mkdir()
        self._log = folder / "worker.log"
        self.runpod = RunPodServer()
        self.generation = 0
        self._ended = threading.Event()
        self._owners: set[str] = set()
        self._environments: set[Path] = set()
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("CLOUDINARY", "BUCKET"))},
            **_SETTINGS,
            "RVM_MODEL_REPOSITORY": str(repository),
            "RVM_UPLOAD_FOLDER": str(self.results),
            "TMPDIR": str(self._temporary),
        }

    def __enter__(self) -> "Endpoint":
        self.runpod.__enter__()
        self._process = self._start()
        self._keeper = threading.Thread(target=self._keep)
        self._keeper.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        self._keeper.join()
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.runpod.__exit__()

    @property
    def log(self) -> str:
        """All that the workers have printed."""
        return self._log.read_text(errors="replace")

    @property
    def worker(self) -> psutil.Process:
        """The worker that is there now."""
        return psutil.Process(self._process.pid)

    def holdings(self) -> Holdings:
        """Of the worker that is there now."""
        family = [self.worker, *self.worker.children(recursive=True)]
        return Holdings(
            processes=len(family),
            descriptors=sum(process.num_fds() for process in family),
            memory_mb=sum(process.memory_info().rss for process in family) >> 20,
            files=sum(1 for path in self._temporary.rglob("*") if path.is_file()),
        )

    def left_behind(self) -> list[str]:
        """What is there although the worker has ended."""
        paths = [*self._temporary.iterdir(), *self._environments]
        for owner in self._owners:
            paths += SEGMENTS.glob(f"{owner}-*")
        return [f"left behind: {path}" for path in paths if path.exists()]

    def _note_names(self) -> None:
        """By which what it leaves is known: others have servers on this machine, too."""
        self._owners.add(f"rvm-client-{self._process.pid}")
        for folder in self._temporary.glob("rvm-server-*"):
            self._owners.add(folder.name)
            with contextlib.suppress(OSError):
                self._environments.add((folder / "python_env").readlink())

    def _start(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "rvm_client.worker"],
                env=self._environment | self.runpod.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _keep(self) -> None:
        """Do what RunPod does with a worker that has ended."""
        while not self._ended.wait(0.2):
            self._note_names()
            if self._process.poll() is not None:
                self._process = self._start()
                self.generation += 1
