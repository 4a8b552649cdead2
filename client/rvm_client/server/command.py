"""The command line of `tritonserver`: asked of the binary where versions differ."""

import functools
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from rvm_client.errors import ServerStartError
from rvm_client.server import guard
from rvm_client.server.install import TritonInstall
from rvm_client.server.log import explain
from rvm_client.server.options import Ports, ServerOptions

# What the Python backend takes at first and adds when it is full, where /dev/shm has room. A
# request of 8 frames at 1080p carries 50 MB in and 66 MB out.
SEGMENT_BYTES = 128 * 2**20
SMALL_SEGMENT_BYTES = 2**20


def server_command(install: TritonInstall, environment: Mapping[str, str]) -> list[str]:
    """The binary with those options that depend on its version or kind."""
    known = known_flags(install.binary, tuple(sorted(environment.items())))
    command = [str(install.binary)]
    if "--allow-client-shm" in known:
        command.append("--allow-client-shm=true")
    if install.embedded and "--disable-auto-complete-config" in known:
        # The embedded server would start every model twice to complete its configuration.
        command.append("--disable-auto-complete-config")
    return command


@functools.lru_cache(maxsize=4)
def known_flags(binary: Path, environment: tuple[tuple[str, str], ...]) -> str:
    """What `tritonserver --help` prints: versions differ in the flags that they know.

    Raises:
        ServerStartError: the binary cannot be run.
    """
    try:
        done = subprocess.run(
            [binary, "--help"], env=dict(environment), capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise ServerStartError(f"the Triton server {binary} cannot be run: {exc}") from exc
    output = done.stdout + done.stderr
    if "--model-repository" not in output:
        raise ServerStartError(f"the Triton server {binary} cannot be run: {explain(output)}")
    return output


def segment_arguments(prefix: str) -> list[str]:
    """Options for the Python backend's shared memory, by the room that /dev/shm has."""
    free_bytes = shutil.disk_usage(guard.SEGMENT_FOLDER).free
    size_bytes = SEGMENT_BYTES if free_bytes > 8 * SEGMENT_BYTES else SMALL_SEGMENT_BYTES
    return [
        f"--backend-config=python,shm-region-prefix-name={prefix}",
        f"--backend-config=python,shm-default-byte-size={size_bytes}",
        f"--backend-config=python,shm-growth-byte-size={size_bytes}",
    ]


def server_arguments(
    options: ServerOptions, install: TritonInstall, ports: Ports, name: str, segment_prefix: str
) -> list[str]:
    """The options that every version of Triton knows."""
    return [
        f"--id={name}",
        f"--model-repository={options.model_repository.resolve()}",
        f"--backend-directory={install.backends}",
        f"--http-address={options.http_host}",
        f"--grpc-address={options.host}",
        f"--metrics-address={options.metrics_host}",
        f"--grpc-port={ports.grpc}",
        f"--http-port={ports.http}",
        f"--metrics-port={ports.metrics}",
        f"--exit-timeout-secs={max(1, round(options.exit_timeout_s))}",
        f"--log-verbose={options.log_verbose}",
        *segment_arguments(segment_prefix),
        *control_arguments(options),
        *tls_arguments(options),
    ]


def control_arguments(options: ServerOptions) -> list[str]:
    """Options that let versions come and go; all models are there from the start, as without."""
    return ["--model-control-mode=explicit", "--load-model=*"] if options.is_controlled else []


def tls_arguments(options: ServerOptions) -> list[str]:
    """Options that encrypt gRPC; HTTP and metrics have none."""
    certificate = options.certificate
    if certificate is None:
        return []
    return [
        "--grpc-use-ssl=true",
        f"--grpc-server-cert={certificate.path}",
        f"--grpc-server-key={certificate.key_path}",
    ]
