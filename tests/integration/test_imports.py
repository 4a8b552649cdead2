"""Heavy packages are imported while a server starts, and not before."""

import subprocess
import sys

import pytest

# PyAV and gRPC take a good part of the time that a server needs to start.
HEAVY = {"av", "boto3", "cloudinary", "grpc", "requests", "rich", "runpod", "tritonclient"}
COMMAND = "import rvm_client.cli.matte as edge; edge.matte(['in.mp4', '-o', 'out.webm'])"
WORKER = "import rvm_client.worker.__main__ as edge; edge.main()"
# Says what is loaded at the moment at which the server is about to start, and ends there.
SPY = """
import sys
from rvm_client.server import StartingServer

def loaded(self):
    print(*sorted({name.partition(".")[0] for name in sys.modules}))
    raise SystemExit(0)

StartingServer.__enter__ = loaded
"""


@pytest.mark.parametrize("edge", [COMMAND, WORKER], ids=["command", "worker"])
def test_nothing_heavy_is_imported_before_the_server_starts(edge: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SPY + edge], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "rvm_client" in loaded, done.stderr
    assert not loaded & HEAVY


def test_the_package_s_names_are_imported_when_they_are_asked_for() -> None:
    code = (
        "import sys, rvm_client\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
        "for name in rvm_client.__all__: assert getattr(rvm_client, name).__doc__, name\n"
        "from rvm_client import *\n"
        "assert callable(matte_video)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()) & (HEAVY | {"numpy", "pydantic"})


def test_a_session_needs_neither_pyav_nor_what_only_the_worker_needs() -> None:
    code = (
        "import sys; from rvm_client import AsyncMattingSession, MattingSession\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "tritonclient" in loaded
    assert not loaded & (HEAVY - {"grpc", "tritonclient"} | {"torch", "PIL.Image", "click"})
