"""The parts of the server module that need no running server."""

import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from rvm_client.config import Settings
from rvm_client.errors import ConfigError, ServerStartError
from rvm_client.machine import available_cores
from rvm_client.server import ServerOptions, active_version
from rvm_client.server import install as triton_install
from rvm_client.server.environment import server_environment
from rvm_client.server.install import TritonInstall
from rvm_client.server.log import (
    explain,
    is_port_conflict,
    models_load_seconds,
    read_tail,
)
from rvm_client.server.options import check_model_repository, check_ports, choose_ports, url_host

# --- the log


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (
            "E1 http.cc] failed to start HTTP service: Unavailable - "
            "Socket '127.0.0.1:8000' already in use ",
            "the address 127.0.0.1:8000 is already in use",
        ),
        (
            "stub: error while loading shared libraries: libpython3.11.so.1.0: cannot open",
            "the shared library libpython3.11.so.1.0 is missing",
        ),
        ("Failed: No space left on device", "/dev/shm is used up"),
        (
            "W1 pinned_memory_manager.cc:170] failed to allocate pinned system memory: no pinned "
            "memory pool, falling back to non-pinned system memory",
            "names no cause",
        ),
        (
            "E1 m.cc:1] failed to load 'matter' version 3: Internal: no such file",
            "the model matter, version 3, could not be loaded: Internal: no such file",
        ),
        (
            # LibTorch's words in NVIDIA's PyTorch backend, and in ours, where lines are escaped.
            "E1 m.cc:1] failed to load 'rvm' version 2: Internal: failed to load model 'rvm': "
            "[enforce fail at inline_container.cc:230] . Attempted to read a PyTorch file with "
            "version 99, but the maximum supported version for reading is 10. The version of your "
            "PyTorch installation may be too old, please upgrade PyTorch",
            "has PyTorch's format 99, and this server reads up to 10: a newer PyTorch has made it",
        ),
        (
            "E1 py.cc:1] TritonModelException: model.pt cannot be loaded: Unknown builtin op: "
            "aten::nothing_.\\n\\nAt:\\n  model.py(91): _load",
            "calls aten::nothing_, which this server's PyTorch does not have",
        ),
        (
            "I1123 10:00:00.0 1 a.cc:1] fine\nE1123 10:00:00.0 1 server.cc:241] all went wrong.",
            "all went wrong",
        ),
        (
            'E1123 server.cc:241] "CudaDriverHelper has not been initialized."\nI1123 fine',
            "its log names no cause",
        ),
        (
            "E1 m.cc:1] failed to infer\nterminate called after throwing an instance of 'Fault'\n"
            "  what():  a message\nSignal (6) received.\n 0# 0x01 in /opt/bin/tritonserver\n"
            " 1# 0x02 in /lib/libc.so.6\n 2# abort in /lib/libc.so.6\n 3# f(int, long)\n\n",
            "it crashed by SIGABRT (a message); its stack: abort (libc.so.6) < f(int, long)",
        ),
        ("Signal (11) received.\n\nI1 fine", "it crashed by SIGSEGV"),
        ("Signal (15) received.\nI1 fine", "its log names no cause"),
        ("", "its log names no cause"),
    ],
)
def test_a_log_becomes_one_reason(log: str, reason: str) -> None:
    assert reason in explain(log)
    assert "\n" not in explain(log)


def test_a_reason_is_bounded() -> None:
    assert len(explain("error: creating server: " + "x" * 10_000)) <= 400


def test_only_a_taken_port_is_a_port_conflict() -> None:
    assert is_port_conflict("Socket '127.0.0.1:8000' already in use")
    assert not is_port_conflict("failed to load model")


def test_what_the_load_of_the_models_took() -> None:
    log = """
W1124 23:59:58.549164 22053 pinned_memory_manager.cc:273] "Unable to allocate"
I1124 23:59:59.500000 22053 model_lifecycle.cc:472] "loading: rvm_mobilenetv3:1"
I1124 23:59:59.600000 22053 model_lifecycle.cc:472] "loading: rvm_mobilenetv3_yuv:1"
I1125 00:00:02.000000 22053 model_lifecycle.cc:839] "successfully loaded 'rvm_mobilenetv3'"
I1125 00:00:02.750000 22053 model_lifecycle.cc:839] "successfully loaded 'rvm_mobilenetv3_yuv'"
I1125 00:00:03.000000 22053 server.cc:604]
"""
    assert models_load_seconds(log) == pytest.approx(3.25)
    assert models_load_seconds("") is None


def test_the_tail_of_a_log_is_bounded(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("first\n" + "x" * 200_000 + "\nlast")
    assert read_tail(log).endswith("last")
    assert len(read_tail(log)) < 100_000
    assert read_tail(tmp_path / "none") == ""


# --- the environment


EMBEDDED = TritonInstall(Path("tritonserver"), Path("backends"), (), embedded=True)
INSTALLED = replace(EMBEDDED, embedded=False)
# All settings of ours that are secret, and what others of the same machine may have set.
SECRETS = {
    str(field.validation_alias)
    for field in Settings.model_fields.values()
    if "SecretStr" in str(field.annotation)
} | {"AWS_SESSION", "RUNPOD_WEBHOOK_GET_JOB", "CUDA_API_TOKEN", "HF_TOKEN", "DB_PASSWORD"}


@pytest.mark.parametrize("install", [EMBEDDED, INSTALLED], ids=["embedded", "installed"])
def test_no_secret_goes_in(install: TritonInstall) -> None:
    assert len(SECRETS) > 8
    inherited = dict.fromkeys(SECRETS, "s3cr3t") | {
        "TRITON_CLOUD": "https://user:s3cr3t@host/path",
        "HOME": "/root",
    }
    environment = server_environment(inherited, install)
    assert environment["HOME"] == "/root"
    assert "s3cr3t" not in str(environment)


def test_an_installed_server_keeps_what_its_image_sets() -> None:
    of_the_image = {
        "UCX_MEM_EVENTS": "no",
        "OPAL_PREFIX": "/opt/hpcx/ompi",
        "TRITON_SERVER_VERSION": "2.59.0",
        "NVIDIA_REQUIRE_CUDA": "cuda>=9.0",
        "_CUDA_COMPAT_PATH": "/usr/local/cuda/compat",
        "LD_LIBRARY_PATH": "/usr/local/cuda/compat/lib",
    }
    environment = server_environment(of_the_image, INSTALLED)
    assert of_the_image.items() <= environment.items()
    assert environment["MALLOC_ARENA_MAX"] == "1"
    assert "UCX_MEM_EVENTS" not in server_environment(of_the_image, EMBEDDED)


@pytest.mark.parametrize("install", [EMBEDDED, INSTALLED], ids=["embedded", "installed"])
def test_a_gpu_multiplies_in_true_float32(install: TritonInstall) -> None:
    assert server_environment({}, install)["NVIDIA_TF32_OVERRIDE"] == "0"


def test_what_a_server_needs_goes_in(tmp_path: Path) -> None:
    inherited = {"CUDA_VISIBLE_DEVICES": "1", "LD_LIBRARY_PATH": "/own", "PATH": "/usr/bin"}
    environment = server_environment(inherited, replace(EMBEDDED, library_folders=(tmp_path,)))
    assert environment["CUDA_VISIBLE_DEVICES"] == "1"
    assert environment["LD_LIBRARY_PATH"] == f"{tmp_path}:/own"
    assert environment["PATH"].split(":")[0] == str(Path(sys.executable).parent)
    assert environment["MALLOC_TRIM_THRESHOLD_"] == "-1"
    assert environment["OMP_NUM_THREADS"] == str(available_cores())


def test_a_users_own_choice_stays() -> None:
    inherited = {"OMP_NUM_THREADS": "3", "MALLOC_MMAP_MAX_": "7"}
    assert server_environment(inherited, EMBEDDED)["OMP_NUM_THREADS"] == "3"
    assert server_environment(inherited, EMBEDDED)["MALLOC_MMAP_MAX_"] == "7"
    assert server_environment(inherited, EMBEDDED, threads=5)["OMP_NUM_THREADS"] == "5"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_cores_obey_the_containers_quota(
    tmp_path: Path, files: dict[str, str], quota: int | None
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert available_cores(tmp_path) == (quota or len(os.sched_getaffinity(0)))


# --- the installation


def test_backends_are_prepared_once_by_many_at_a_time(tmp_path: Path) -> None:
    package = triton_install.embedded_package()
    with ThreadPoolExecutor(8) as pool:
        folders = set(
            pool.map(lambda _: triton_install.prepare_backends(package, tmp_path), range(16))
        )
    (prepared,) = folders
    assert [*prepared.parent.iterdir()] == [prepared]
    files = {str(path.relative_to(prepared)) for path in prepared.rglob("*") if path.is_file()}
    assert files == {
        "python/libtriton_python.so",
        "python/triton_python_backend_stub",
        "python/triton_python_backend_utils.py",
        "pytorch/model.py",
    }
    assert os.access(prepared / "python/triton_python_backend_stub", os.X_OK)


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        triton_install.prepare_backends(triton_install.embedded_package(), blocked)


def test_a_missing_libpython_names_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    monkeypatch.setattr(triton_install, "libpython_candidates", lambda: [tmp_path])
    if sys.version_info >= (3, 13):
        assert triton_install.libpython_folders() == ()
        return
    with pytest.raises(ConfigError, match=f"apt-get install libpython{minor}"):
        triton_install.libpython_folders()
    (tmp_path / f"libpython{minor}.so.1.0").write_text("")
    assert triton_install.libpython_folders() == (tmp_path,)


def test_an_installed_server_needs_a_pytorch_backend(tmp_path: Path) -> None:
    binary = tmp_path / "bin" / "tritonserver"
    binary.parent.mkdir()
    with pytest.raises(ConfigError, match="not a tritonserver binary"):
        triton_install.find_triton(binary, None)
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    with pytest.raises(ConfigError, match="has no PyTorch backend"):
        triton_install.find_triton(binary, None)
    backend = tmp_path / "backends" / "pytorch" / "libtriton_pytorch.so"
    backend.parent.mkdir(parents=True)
    backend.write_text("")
    install = triton_install.find_triton(binary, None)
    assert install.binary == binary
    assert install.backends == tmp_path / "backends"
    assert not install.embedded


# --- repository and ports


def test_the_newest_version_counts_as_a_number(tmp_path: Path) -> None:
    for name in ("2", "10", "draft"):
        (tmp_path / "model" / name).mkdir(parents=True)
        (tmp_path / "model" / name / "model.pt").write_text("")
    assert active_version(tmp_path, "model") == 10
    assert active_version(tmp_path, "other") is None


def test_the_version_that_the_config_names_is_active(tmp_path: Path) -> None:
    for version in ("9", "10"):
        (tmp_path / "model" / version).mkdir(parents=True)
        (tmp_path / "model" / version / "model.pt").touch()
    config = tmp_path / "model" / "config.pbtxt"
    config.write_text('parameters { key: "active_version" value { string_value: "9" } }\n')
    assert active_version(tmp_path, "model") == 9
    config.write_text('parameters { key: "active_version" value { string_value: "8" } }\n')
    assert active_version(tmp_path, "model") == 10


def test_a_repository_is_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no config\.pbtxt"):
        check_model_repository(tmp_path, "model")
    (tmp_path / "model" / "1").mkdir(parents=True)
    (tmp_path / "model" / "config.pbtxt").write_text("")
    with pytest.raises(ConfigError, match="no version"):
        check_model_repository(tmp_path, "model")
    (tmp_path / "model" / "1" / "model.pt").write_text("")
    check_model_repository(tmp_path, "model")


def test_free_ports_differ_and_given_ones_stay(tmp_path: Path) -> None:
    ports = choose_ports(ServerOptions(tmp_path, http_port=23456))
    assert ports.http == 23456
    assert len({ports.grpc, ports.http, ports.metrics}) == 3


def test_a_taken_port_is_noticed_before_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerStartError, match=f"127.0.0.1:{port}"):
            check_ports(ServerOptions(tmp_path, metrics_port=port))


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("a.b", "a.b")],
)
def test_clients_get_an_address_they_can_use(host: str, expected: str) -> None:
    assert url_host(host) == expected
