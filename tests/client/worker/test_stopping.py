"""A worker that does not end although its server has ended for good."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.support import stub_triton

from rvm_client.errors import ServerError
from rvm_client.wire import MODEL_NAME
from rvm_client.worker import stopping

STUBBORN = f"""
import os, shutil, signal, sys, time
from pathlib import Path
from rvm_client.server import ServerOptions, Supervisor, TritonServer
import {stopping.__name__} as stopping

stopping._GRACE_S = 0.5
signal.signal(signal.SIGTERM, lambda *_: print("asked to end", flush=True))
options = ServerOptions(Path(sys.argv[1]), tritonserver=Path(sys.argv[2]))
with (
    TritonServer.start(options) as server,
    Supervisor(server, lambda url, is_stopped: None) as supervisor,
    stopping.ServerWatch(supervisor),
):
    # So that it cannot be started anew.
    shutil.rmtree(sys.argv[1])
    os.kill(server.pid, signal.SIGKILL)
    time.sleep(60)
"""


def test_it_is_asked_and_then_ended(tmp_path: Path) -> None:
    version = tmp_path / "repository" / MODEL_NAME / "1"
    version.mkdir(parents=True)
    (version / "model.pt").touch()
    (version.parent / "config.pbtxt").touch()
    (tmp_path / "triton").mkdir()
    binary = stub_triton.install(tmp_path / "triton")
    started_s = time.monotonic()
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", STUBBORN, str(version.parents[1]), str(binary)],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    assert done.returncode == ServerError.exit_code, done.stderr
    assert time.monotonic() - started_s < 50
    assert list(temporary.iterdir()) == []
    assert done.stdout == "asked to end\n"
    assert "The Triton server is started anew: the Triton server ended (killed by SIGKILL" in (
        done.stderr
    )
    assert "is not a model repository" in done.stderr
