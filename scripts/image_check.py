"""Build the Dockerfile as it stands without a container engine, and run the image's own command.

    scripts/image --check

buildah builds it on substitute bases, made with debootstrap: Debian with Python in place of both
base images, and in the last one the embedded Triton as an installed server and a user with the id
that the image runs as. Then the image's command does one job, as that user, from a video on a
local HTTP server to a file. It needs root and Debian's packages buildah and debootstrap.

How registries are reached comes from outside: pip's and npm's own settings, the certificates and
the local folders that they name go into the build as variables and read-only mounts.
"""

import functools
import http.server
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import av
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SUITE = "bookworm"
PACKAGES = "python3,python3-pip,python3-venv,libpython3.11,ca-certificates,curl"
PYTHON_BASE = "localhost/rvm-check-python"
SERVER_BASE = "localhost/rvm-check-server"
IMAGE = "localhost/rvm-check-image"
USER_ID = 1000
FRAMES = 12
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
                "NODE_EXTRA_CA_CERTS")  # fmt: skip

# An installed server's binary, as NVIDIA's image has it. Its Python backend sees the packages of
# the base and not those of the worker.
TRITONSERVER = """#!/bin/sh
packages=$(/usr/bin/python3 -I -c \
    'import pytriton, pathlib; print(pathlib.Path(pytriton.__file__).parents[1])')
export LD_LIBRARY_PATH="$packages/nvidia_pytriton.libs:$LD_LIBRARY_PATH" PYTHONPATH="$packages"
export PATH="/usr/bin:$PATH"
exec "$packages/pytriton/tritonserver/bin/tritonserver" "$@"
"""
PREPARE_SERVER = """
import pathlib, shutil, sys
import pytriton
package = pathlib.Path(pytriton.__file__).parent / "tritonserver"
backends = pathlib.Path("/opt/tritonserver/backends")
shutil.copytree(package / "backends" / "python", backends / "python")
minor = "{}.{}".format(*sys.version_info)
stub = package / "python_backend_stubs" / minor / "triton_python_backend_stub"
shutil.copy(stub, backends / "python")
for program in (backends / "python" / stub.name, package / "bin" / "tritonserver"):
    program.chmod(0o755)
"""


def main() -> None:
    started_s = time.monotonic()
    for program in ("buildah", "debootstrap"):
        if shutil.which(program) is None:
            sys.exit(f"error: there is no {program}; apt-get install buildah debootstrap")
    outside = Outside()
    with tempfile.TemporaryDirectory(prefix="rvm-image-") as name:
        folder = Path(name)
        keep_storage_in(folder)
        make_bases(folder, outside)
        build(outside)
        run_job(folder)
    say(f"the image builds and does a job; {time.monotonic() - started_s:.0f} s in all")


class Outside:
    """How this machine reaches its registries: variables, and folders that they name."""

    def __init__(self) -> None:
        listed = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True
        ).stdout
        found = re.findall(r"^(?:global|:env:|install)\.([\w-]+)='(.*)'$", listed, re.MULTILINE)
        self.variables = {f"PIP_{key.upper().replace('-', '_')}": value for key, value in found}
        self.variables |= {name: os.environ[name] for name in CERTIFICATES if name in os.environ}
        npm = shutil.which("npm")
        if npm is not None:
            registry = subprocess.run([npm, "config", "get", "registry"], capture_output=True)
            self.variables["npm_config_registry"] = registry.stdout.decode().strip()
        words = " ".join(self.variables.values()).split()
        # An index in a folder refers to files beside it.
        local = [str(Path(w.removeprefix("file://")).parent) if "://" in w else w for w in words]
        self.folders = sorted({w for w in local if w.startswith("/") and Path(w).exists()})

    def options(self) -> list[str]:
        """For buildah."""
        mounts = [f"--volume={folder}:{folder}:ro" for folder in self.folders]
        return [*mounts, *(f"--env={name}={value}" for name, value in self.variables.items())]


def make_bases(folder: Path, outside: Outside) -> None:
    """The two substitutes for base images."""
    root = folder / "root"
    say("debootstrap")
    run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, root, mirror())
    for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    (root / "usr/bin/python").symlink_to("python3")
    say("the base with Python")
    with container("scratch") as made:
        run("buildah", "add", "--quiet", made, root, "/")
        run("buildah", "config", "--env", f"PATH={os.environ['PATH']}", made)
        run("buildah", "commit", "--quiet", made, PYTHON_BASE)
    say("the base with a server")
    (folder / "tritonserver").write_text(TRITONSERVER)
    (folder / "tritonserver").chmod(0o755)
    backend = ROOT / "client/rvm_client/server/backends/pytorch/model.py"
    with container(PYTHON_BASE) as made:
        packages = [f"nvidia-pytriton=={metadata.version('nvidia-pytriton')}", "numpy<2", torch()]
        inside = ["buildah", "run", *outside.options(), made, "--"]
        run(*inside, "pip", "install", "--quiet", "--no-cache-dir", *packages)
        run(*inside, "useradd", "--uid", str(USER_ID), "triton-server")
        run("buildah", "add", "--quiet", made, folder / "tritonserver", "/opt/tritonserver/bin/")
        run(*inside, "python3", "-c", PREPARE_SERVER)
        run("buildah", "add", "--quiet", made, backend, "/opt/tritonserver/backends/pytorch/")
        run("buildah", "commit", "--quiet", made, SERVER_BASE)


def build(outside: Outside) -> None:
    """The Dockerfile, unchanged."""
    say("the Dockerfile")
    arguments = {
        "PYTHON_IMAGE": PYTHON_BASE,
        "TRITON_IMAGE": SERVER_BASE,
        "WEIGHTS": "int8",
        "PRECISION": "fp32",
        "TORCH_VERSION": torch().partition("==")[2],
    }
    given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
    options = ["--quiet", "--layers=false", *given, *outside.options(), f"--tag={IMAGE}"]
    run("buildah", "bud", *options, ROOT)


def run_job(folder: Path) -> None:
    """The image's command, as its user, with a job from a URL to a file."""
    say("one job")
    write_clip(folder / "clip.mp4")
    results = folder / "results"
    results.mkdir()
    os.chown(results, USER_ID, USER_ID)
    config = json.loads(capture("buildah", "inspect", "--type=image", IMAGE))["OCIv1"]["config"]
    with container(IMAGE) as made, served(folder) as url:
        job = {"input": {"video_url": f"{url}/clip.mp4", "output_type": "alpha"}}
        settings = {
            "RVM_REQUIRE_GPU": "false",
            "RVM_ALLOW_PRIVATE_ADDRESSES": "true",
            "RVM_UPLOAD_FOLDER": "/results",
        }
        run(
            "buildah", "run", f"--user={config['User']}", f"--volume={results}:/results",
            *(f"--env={name}={value}" for name, value in settings.items()),
            made, "--", *config["Cmd"], "--test_input", json.dumps(job),
        )  # fmt: skip
    (result,) = [path for path in results.rglob("*") if path.is_file()]
    with av.open(str(result)) as video:
        count = sum(1 for _ in video.decode(video=0))
    if count != FRAMES:
        sys.exit(f"error: the result has {count} frames of {FRAMES}")


def keep_storage_in(folder: Path) -> None:
    """Everything that buildah makes lies in a folder that goes away, and nothing of others does."""
    settings = folder / "storage.conf"
    settings.write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/images"\nrunroot = "{folder}/run"\n'
    )
    os.environ |= {"CONTAINERS_STORAGE_CONF": str(settings), "BUILDAH_ISOLATION": "chroot"}


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder over HTTP on loopback."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def write_clip(path: Path) -> None:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 320, 192, "yuv420p"
        for index in range(FRAMES):
            picture = np.full((192, 320, 3), 20 * index, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())


@contextmanager
def container(image: str) -> Iterator[str]:
    """A working container of buildah, gone at the end."""
    name = capture("buildah", "from", "--pull=never", image).strip()
    try:
        yield name
    finally:
        run("buildah", "rm", name)


def mirror() -> str:
    """Where this machine gets Debian's packages."""
    folder = Path("/etc/apt")
    files = [*folder.glob("sources.list.d/*.sources"), folder / "sources.list"]
    text = "\n".join(path.read_text() for path in files if path.is_file())
    found = re.search(r"^(?:URIs:|deb(?: \[.*?\])?)\s+(\S+)", text, re.MULTILINE)
    if found is None:
        sys.exit("error: no source of Debian's packages is found in /etc/apt")
    return found[1]


def torch() -> str:
    """PyTorch of the release that is installed here, as pip is asked for it."""
    return f"torch=={metadata.version('torch').partition('+')[0]}"


def run(*command: str | Path) -> None:
    """Raises: SystemExit: with the command, its output and its status where it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        words = shlex.join(map(str, command))[:300]
        sys.exit(f"{done.stdout[-6000:]}\nerror: {words} ended with {done.returncode}")


def capture(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def say(text: str) -> None:
    print(f"image check: {text}", file=sys.stderr, flush=True)


main()
