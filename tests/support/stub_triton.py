"""A program in the place of `tritonserver` that is ready at once and infers nothing.

For tests of who starts, watches and ends a server. What it leaves behind is what a real one does
when it is killed: a process for the model, and a segment in /dev/shm. It does not clean up at an
orderly end either, so whoever ends it has to.
"""

import os
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

FLAGS = "--model-repository --allow-client-shm"


def install(folder: Path) -> Path:
    """An installation as NVIDIA's image has it, in an empty folder. Returns the binary."""
    backend = folder / "backends" / "pytorch"
    backend.mkdir(parents=True)
    (backend / "model.py").touch()
    binary = folder / "bin" / "tritonserver"
    binary.parent.mkdir()
    code = Path(__file__).read_text()
    binary.write_text(f"#!{sys.executable} -IS\n{code}")
    binary.chmod(0o755)
    return binary


def main(arguments: list[str]) -> None:
    """Be a server with these options."""
    if "--help" in arguments:
        print(FLAGS)
        return
    options = dict(part.removeprefix("--").split("=", 1) for part in arguments)
    prefix = next(part.rpartition("=")[2] for part in arguments if "shm-region-prefix" in part)
    Path("/dev/shm", f"{prefix}stub").touch()
    if not os.fork():
        time.sleep(600)
        os._exit(0)
    signal.signal(signal.SIGTERM, end)
    serve(options)


def serve(options: dict[str, str]) -> NoReturn:
    """Answer as a server that is ready."""
    with selectors.DefaultSelector() as selector:
        for service in ("http", "grpc"):
            address = (options[f"{service}-address"], int(options[f"{service}-port"]))
            selector.register(socket.create_server(address), selectors.EVENT_READ, service)
        while True:
            for key, _ in selector.select():
                assert isinstance(key.fileobj, socket.socket)
                with key.fileobj.accept()[0] as connection:
                    if key.data == "http":
                        answer(connection, options["id"])


def answer(connection: socket.socket, name: str) -> None:
    """One request: the server's name, which is 200 and so ready too."""
    connection.recv(4096)
    body = f'{{"name": "{name}"}}'
    connection.sendall(f"HTTP/1.0 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())


def end(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Go, and leave the rest."""
    sys.exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
