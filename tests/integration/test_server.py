"""The server's life, with the real Triton, real signals and real ports.

Where only its supervision is under test, a stub stands for Triton: it has what is to be cleaned up.
"""

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton
from google.protobuf import text_format
from tests.support import stub_triton
from tests.support.commands import invoke
from tests.support.faults import FAULTS
from tritonclient.grpc import model_config_pb2

from rvm_client import wire
from rvm_client.cli.serve import main as serve_command
from rvm_client.errors import ConfigError, ServerError, ServerStartError
from rvm_client.frames import SourceChunk
from rvm_client.matte import MattingModel
from rvm_client.server import ServerOptions, TritonServer
from rvm_client.server.install import find_triton
from rvm_client.server.options import choose_ports

GONE_WITHIN_S = 20.0
SRC_SHAPE = (1, 2, 6, 8, 3)


def infer(url: str, ratio: float, shape: tuple[int, ...] = SRC_SHAPE) -> Any:
    """One request with seeded noise; the result of tritonclient."""
    src = np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)
    start = np.zeros((1, 1, 1, 1), np.float32)
    arrays: dict[str, Any] = {wire.SRC: src, **dict.fromkeys(wire.STATE_INPUTS, start)}
    arrays[wire.DOWNSAMPLE_RATIO] = np.array([ratio], np.float32)
    inputs = []
    for name, array in arrays.items():
        inputs.append(triton.InferInput(name, array.shape, triton_dtype(array)))
        inputs[-1].set_data_from_numpy(array)
    with triton.InferenceServerClient(url) as client:
        return client.infer(wire.MODEL_NAME, inputs)


def triton_dtype(array: Any) -> str:
    return "UINT8" if array.dtype == np.uint8 else "FP32"


def group_members(group: int) -> list[int]:
    """Process ids of a process group."""
    members = []
    for pid in psutil.pids():
        try:
            if os.getpgid(pid) == group:
                members.append(pid)
        except ProcessLookupError:
            continue
    return members


def leftovers(name: str, group: int) -> list[str]:
    """What a server left behind: processes, shared memory, temporary files."""
    processes = [f"process {pid}" for pid in group_members(group)]
    files = [*Path("/dev/shm").glob(f"{name}*"), *Path(tempfile.gettempdir()).glob(f"{name}*")]
    return processes + [str(file) for file in files]


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds; fails when it takes too long."""
    deadline = time.monotonic() + GONE_WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def stub_of(server: TritonServer) -> psutil.Process:
    """The process of the Python backend that runs the model."""
    (stub,) = psutil.Process(server.pid).children()
    return stub


@contextmanager
def running_command(code: str, options: ServerOptions) -> Iterator["subprocess.Popen[str]"]:
    """A Python process in a session of its own, as a terminal starts one."""
    environment = os.environ | {
        "RVM_MODEL_REPOSITORY": str(options.model_repository),
        "RVM_CACHE_DIR": str(options.cache_dir),
        "OMP_NUM_THREADS": "1",
    }
    if options.tritonserver is not None:
        environment["RVM_TRITONSERVER"] = str(options.tritonserver)
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def serve_code(*arguments: str) -> str:
    return f"from rvm_client.cli.serve import main; main({[*arguments]!r})"


FREE_PORTS = ("--grpc-port=0", "--http-port=0", "--metrics-port=0")


def read_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def server_below(pid: int) -> tuple[str, int]:
    """The name and the process id of the server that a process has started, or is starting."""
    wait_for(lambda: bool(list(servers_below(pid))))
    return next(servers_below(pid))


def servers_below(pid: int) -> Iterator[tuple[str, int]]:
    for child in psutil.Process(pid).children(recursive=True):
        # It may end meanwhile: the binary is asked for its options before it serves.
        with contextlib.suppress(psutil.Error):
            arguments = child.cmdline()
            names = [part for part in arguments if part.startswith("--id=")]
            # The stub's first arguments are those of its interpreter.
            if names and any(part.endswith("/tritonserver") for part in arguments[:3]):
                yield names[0].removeprefix("--id="), child.pid


@pytest.fixture(scope="module")
def stub_options(
    echo_options: ServerOptions, tmp_path_factory: pytest.TempPathFactory
) -> ServerOptions:
    """Options for the stub."""
    binary = stub_triton.install(tmp_path_factory.mktemp("stub"))
    return replace(echo_options, tritonserver=binary)


def copy_repository(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target))


# --- a server that runs


def test_answers_as_the_wire_contract_says(echo_server: TritonServer) -> None:
    result = infer(echo_server.grpc_url, 0.25)
    src = np.random.default_rng(7).integers(0, 256, SRC_SHAPE, dtype=np.uint8)
    np.testing.assert_array_equal(result.as_numpy(wire.FGR), src)
    np.testing.assert_array_equal(result.as_numpy(wire.PHA), src[..., :1])
    for name in wire.STATE_OUTPUTS:
        np.testing.assert_array_equal(result.as_numpy(name), np.ones((1, 1, 1, 1), np.float32))


def test_metadata_is_that_of_the_config(
    echo_server: TritonServer, echo_options: ServerOptions
) -> None:
    text = (echo_options.model_repository / wire.MODEL_NAME / "config.pbtxt").read_text()
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    with triton.InferenceServerClient(echo_server.grpc_url) as client:
        metadata = client.get_model_metadata(wire.MODEL_NAME)
    for served, written in ((metadata.inputs, config.input), (metadata.outputs, config.output)):
        assert [t.name for t in served] == [t.name for t in written]
        assert [list(t.shape) for t in served] == [list(t.dims) for t in written]


def test_large_tensors_pass(echo_server: TritonServer) -> None:
    shape = (1, 8, 1080, 1920, 3)
    assert infer(echo_server.grpc_url, 0.25, shape).as_numpy(wire.FGR).shape == shape


def test_a_failing_request_does_not_hurt_the_next(echo_server: TritonServer) -> None:
    with pytest.raises(triton.InferenceServerException) as failure:
        infer(echo_server.grpc_url, 0.0)
    assert "downsample_ratio must be above 0" in failure.value.message()
    assert "\n" not in failure.value.message()
    assert infer(echo_server.grpc_url, 0.25).as_numpy(wire.PHA) is not None
    echo_server.check_alive()


def test_listens_on_loopback_only(echo_server: TritonServer) -> None:
    connections = psutil.Process(echo_server.pid).net_connections("inet")
    listening = {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_no_secret_reaches_the_server(stub_options: ServerOptions) -> None:
    secret = "s3cr3t-value"
    names = ["CLOUDINARY_URL", "BUCKET_SECRET_ACCESS_KEY", "RUNPOD_API_KEY", "CUDA_TOKEN"]
    environment = os.environ | dict.fromkeys(names, secret) | {"CUDA_VISIBLE_DEVICES": ""}
    with TritonServer.start(replace(stub_options, environment=environment)) as server:
        for pid in (psutil.Process(server.pid).ppid(), *group_members(server.pid)):
            variables = Path(f"/proc/{pid}/environ").read_text()
            assert "CUDA_VISIBLE_DEVICES=" in variables
            assert "MALLOC_MMAP_MAX_=0" in variables
            assert secret not in variables


def test_two_servers_side_by_side(echo_server: TritonServer, echo_options: ServerOptions) -> None:
    with TritonServer.start(echo_options) as other:
        assert other.grpc_url != echo_server.grpc_url
        assert infer(other.grpc_url, 0.25).as_numpy(wire.PHA) is not None
    assert not leftovers(other.name, other.pid)
    assert infer(echo_server.grpc_url, 0.25).as_numpy(wire.PHA) is not None
    assert list(Path("/dev/shm").glob(f"{echo_server.segment_prefix}*"))


# --- a server that cannot start


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path)) + r".*rvm-export export"):
        TritonServer.start(ServerOptions(tmp_path))


def test_a_model_without_a_version(echo_repository: Path, tmp_path: Path) -> None:
    repository = copy_repository(echo_repository, tmp_path / "repository")
    (repository / wire.MODEL_NAME / "1" / "model.pt").unlink()
    with pytest.raises(ConfigError, match=r"rvm_mobilenetv3 has no version.*rvm-export export"):
        TritonServer.start(ServerOptions(repository))


def test_a_broken_model_is_named(echo_options: ServerOptions, tmp_path: Path) -> None:
    repository = copy_repository(echo_options.model_repository, tmp_path / "repository")
    model = repository / wire.MODEL_NAME / "1" / "model.pt"
    model.write_bytes(model.read_bytes()[:1000])
    with pytest.raises(ServerStartError) as failure:
        TritonServer.start(replace(echo_options, model_repository=repository))
    assert f"{model} cannot be loaded" in str(failure.value)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("member", "old", "new", "reason"),
    [
        # No release has written such an archive yet, nor such an operator.
        ("version", rb"\d+", b"99", "has PyTorch's format 99, and this server reads up to"),
        (".py", rb"torch\.add\(", b"torch.add_up(", "calls aten::add_up, which this server's"),
    ],
    ids=["archive", "operator"],
)
def test_a_model_of_a_newer_pytorch_is_named(
    echo_options: ServerOptions, tmp_path: Path, member: str, old: bytes, new: bytes, reason: str
) -> None:
    repository = copy_repository(echo_options.model_repository, tmp_path / "repository")
    (model,) = repository.glob("*/*/model.pt")
    with zipfile.ZipFile(model) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(model, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, re.sub(old, new, data) if name.endswith(member) else data)
    with pytest.raises(ServerStartError, match=re.escape(reason)) as failed:
        TritonServer.start(replace(echo_options, model_repository=repository))
    assert "a PyTorch no newer than the server's" in str(failed.value)


def test_a_wrong_config_is_explained(echo_options: ServerOptions, tmp_path: Path) -> None:
    repository = copy_repository(echo_options.model_repository, tmp_path / "repository")
    (repository / wire.MODEL_NAME / "config.pbtxt").write_text('name: "rvm_mobilenetv3"\nnonsense')
    with pytest.raises(ServerStartError, match=r"config\.pbtxt|nonsense|model config"):
        TritonServer.start(replace(echo_options, model_repository=repository))


def test_a_port_in_use_is_named(echo_options: ServerOptions) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerStartError, match=f"127.0.0.1:{port}.*choose another port"):
            TritonServer.start(replace(echo_options, grpc_port=port))


def test_a_port_lost_while_the_model_loads_is_replaced(
    echo_options: ServerOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = choose_ports(echo_options)
        lost = replace(free, http=taken.getsockname()[1])
        choices = [lost, free]
        monkeypatch.setattr("rvm_client.server.server.choose_ports", lambda _: choices.pop(0))
        with TritonServer.start(echo_options) as server:
            assert server.ports == free
        assert not choices


def test_an_installed_server_is_used(
    echo_options: ServerOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert echo_options.cache_dir is not None
    embedded = find_triton(None, echo_options.cache_dir)
    shutil.copytree(embedded.backends, tmp_path / "backends")
    (tmp_path / "bin").mkdir()
    binary = Path(shutil.copy(embedded.binary, tmp_path / "bin"))
    folders = os.pathsep.join(map(str, embedded.library_folders))
    options = replace(echo_options, environment=os.environ | {"LD_LIBRARY_PATH": folders})
    monkeypatch.setenv("PATH", str(binary.parent), prepend=os.pathsep)
    assert find_triton(None, None).binary == binary
    with TritonServer.start(replace(options, tritonserver=binary)) as server:
        assert psutil.Process(server.pid).exe() == str(binary)
        assert infer(server.grpc_url, 0.25).as_numpy(wire.PHA) is not None


def test_a_binary_that_is_not_triton(echo_options: ServerOptions) -> None:
    with pytest.raises(ConfigError, match=r"/bin/true has no PyTorch backend|/bin/true .*backend"):
        TritonServer.start(replace(echo_options, tritonserver=Path("/bin/true")))


def test_a_start_that_takes_too_long_leaves_nothing(
    echo_options: ServerOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed = secrets.token_hex(6)
    monkeypatch.setattr(secrets, "token_hex", lambda _: fixed)
    children = psutil.Process().children(recursive=True)
    with pytest.raises(ServerStartError, match=r"not ready within 0\.2 s"):
        TritonServer.start(replace(echo_options, ready_timeout_s=0.2))
    assert set(psutil.Process().children(recursive=True)) <= set(children)
    name = f"*{fixed}*"
    files = [*Path("/dev/shm").glob(name), *Path(tempfile.gettempdir()).glob(name)]
    assert files == []


# --- a server that ends


def test_stop_leaves_nothing_and_may_be_called_again(echo_options: ServerOptions) -> None:
    with TritonServer.start(echo_options) as server:
        assert len(group_members(server.pid)) == 2
        server.stop()
        assert not leftovers(server.name, server.pid)
    assert server.poll() == 0


@pytest.mark.parametrize(("deaths", "starts"), [(1, True), (2, False)])
def test_a_server_that_dies_silently_is_started_once_more(
    stub_options: ServerOptions, tmp_path: Path, deaths: int, starts: bool
) -> None:
    assert stub_options.tritonserver is not None
    binary = stub_triton.install(tmp_path / "stub")
    count = tmp_path / "count"
    code = binary.read_text().replace(
        "def serve(",
        f"def die(count=Path({str(count)!r})):\n"
        "    with count.open('ab') as log:\n"
        "        log.write(b'x')\n"
        f"    if count.stat().st_size <= {deaths}:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n\n\ndef serve(",
    )
    binary.write_text(code.replace("    serve(options)\n", "    die()\n    serve(options)\n"))
    options = replace(stub_options, tritonserver=binary)
    if starts:
        with TritonServer.start(options) as server:
            assert server.poll() is None
    else:
        with pytest.raises(ServerStartError, match="its log names no cause"):
            TritonServer.start(options)
    assert count.stat().st_size == 2


def test_an_exception_in_the_block_stops_the_server(stub_options: ServerOptions) -> None:
    with pytest.raises(ZeroDivisionError), TritonServer.start(stub_options) as server:
        _ = 1 / 0
    assert not leftovers(server.name, server.pid)


def with_descriptors(most: int) -> str:
    """`rvm-serve` with 32 descriptors, of which it may make `most`."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (32, {most})); "
    return limit + serve_code(*FREE_PORTS)


def test_few_descriptors_are_one_line(echo_options: ServerOptions) -> None:
    with running_command(with_descriptors(100), echo_options) as process:
        _, errors = process.communicate(timeout=GONE_WITHIN_S)
        assert re.fullmatch(r"rvm-serve: this process may open 100 files.*\n", errors)
        assert process.returncode == ServerError.exit_code


def test_descriptors_that_are_allowed_are_taken(echo_options: ServerOptions) -> None:
    with running_command(with_descriptors(4096), echo_options) as process:
        assert read_line(process).startswith("ready: ")
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=GONE_WITHIN_S)


def test_stop_does_not_wait_for_a_model_s_process_that_has_died(
    echo_options: ServerOptions,
) -> None:
    server = TritonServer.start(replace(echo_options, exit_timeout_s=600))
    FAULTS["model's process killed"](server)
    stopping = threading.Thread(target=server.stop, daemon=True)
    stopping.start()
    stopping.join(60)
    assert not stopping.is_alive()
    assert leftovers(server.name, server.pid) == []


def test_stop_lets_a_request_finish(echo_options: ServerOptions) -> None:
    with TritonServer.start(echo_options) as server:
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(infer(server.grpc_url, 0.5)))
        thread.start()
        stub = stub_of(server)
        busy_s = sum(stub.cpu_times()[:2]) + 0.2
        wait_for(lambda: sum(stub.cpu_times()[:2]) > busy_s)
        server.stop()
        thread.join()
    assert answers[0].as_numpy(wire.PHA) is not None


@pytest.mark.parametrize("victim", ["server", "guard"])
def test_a_killed_server_is_noticed(stub_options: ServerOptions, victim: str) -> None:
    with TritonServer.start(stub_options) as server:
        server.check_alive()
        assert len(group_members(server.pid)) == 2
        assert list(Path("/dev/shm").glob(f"{server.segment_prefix}*"))
        guard = psutil.Process(server.pid).ppid()
        os.kill(server.pid if victim == "server" else guard, signal.SIGKILL)
        assert server.wait(GONE_WITHIN_S) is not None
        with pytest.raises(ServerError, match="killed by SIGKILL"):
            server.check_alive()
    assert not leftovers(server.name, server.pid)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_says_where_it_was(echo_options: ServerOptions, number: signal.Signals) -> None:
    with TritonServer.start(echo_options) as server:
        os.kill(server.pid, number)
        assert server.wait(GONE_WITHIN_S) == 128 + number
        with pytest.raises(ServerError, match=rf"it crashed by {number.name}; its stack: .*libc"):
            server.check_alive()


def test_our_own_death_leaves_nothing(echo_options: ServerOptions) -> None:
    code = serve_code(*FREE_PORTS)
    with running_command(code, echo_options) as process:
        assert read_line(process).startswith("ready: ")
        name, pid = server_below(process.pid)
        process.kill()
        wait_for(lambda: not leftovers(name, pid))


def test_the_death_of_all_but_the_model_leaves_no_process(echo_options: ServerOptions) -> None:
    with TritonServer.start(echo_options) as server:
        stub = stub_of(server)
        for pid in (psutil.Process(server.pid).ppid(), server.pid):
            os.kill(pid, signal.SIGKILL)
        server.stop()
        assert not leftovers(server.name, server.pid)
        assert not stub.is_running()


def environment_of(name: str) -> Path:
    """The folder in /tmp that the Python backend of a server made."""
    link = Path(tempfile.gettempdir()) / name / "python_env"
    wait_for(link.is_symlink)
    return link.readlink()


def test_no_folder_for_environments_stays(echo_options: ServerOptions) -> None:
    with TritonServer.start(replace(echo_options, exit_timeout_s=0)) as server:
        environment = environment_of(server.name)
        assert environment.is_dir()
    assert not environment.exists()


def test_the_next_start_removes_what_a_killed_family_left(
    echo_options: ServerOptions, stub_options: ServerOptions
) -> None:
    # Servers that other tests start meanwhile remove it, too, if they come first.
    for _ in range(5):
        name, pid, environment = killed_family(echo_options)
        if len(leftovers(name, pid)) > 1 and environment.is_dir():
            break
    else:
        pytest.fail("a killed family left nothing")
    with TritonServer.start(stub_options):
        assert leftovers(name, pid) == []
        assert not environment.exists()


def killed_family(options: ServerOptions) -> tuple[str, int, Path]:
    """A server's name, its process group and its environment's folder, all of it killed."""
    with running_command(serve_code(*FREE_PORTS), options) as process:
        assert read_line(process).startswith("ready: ")
        name, pid = server_below(process.pid)
        environment = environment_of(name)
        family = [process.pid, psutil.Process(pid).ppid(), pid, *group_members(pid)]
        # Stopped first, so that none of them tidies up behind another.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for member in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(member, number)
    wait_for(lambda: not group_members(pid))
    return name, pid, environment


# --- rvm-serve


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_serve_ends_with_a_signal(
    echo_options: ServerOptions, signal_number: signal.Signals
) -> None:
    """With the log on stderr the second time, as it was asked for."""
    verbose = signal_number is signal.SIGTERM
    code = serve_code(*FREE_PORTS, *(["--verbose"] if verbose else []))
    with running_command(code, echo_options) as process:
        line = read_line(process)
        found = re.fullmatch(
            r"ready: gRPC (\S+), HTTP \S+, metrics \S+, model rvm_mobilenetv3 version 1\n", line
        )
        assert found is not None
        assert infer(found[1], 0.25).as_numpy(wire.PHA) is not None
        name, pid = server_below(process.pid)
        os.killpg(process.pid, signal_number)
        out, log = process.communicate(timeout=GONE_WITHIN_S)
        assert (out, process.returncode) == ("", 0)
    assert "Started GRPCInferenceService" in log if verbose else log == ""
    assert not leftovers(name, pid)


def test_serve_stops_while_it_starts(echo_options: ServerOptions) -> None:
    with running_command(serve_code(*FREE_PORTS), echo_options) as process:
        name, pid = server_below(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        assert process.communicate(timeout=GONE_WITHIN_S) == ("", "")
        assert process.returncode == 0
    assert not leftovers(name, pid)


def test_a_second_ctrl_c_does_not_wait_for_requests(echo_options: ServerOptions) -> None:
    with running_command(serve_code(*FREE_PORTS), echo_options) as process:
        url = read_line(process).split()[2].rstrip(",")
        name, pid = server_below(process.pid)
        stub = psutil.Process(pid).children()[0]
        stub.suspend()  # This request never ends.
        failures: list[BaseException] = []

        def ask() -> None:
            try:
                infer(url, 0.25)
            except triton.InferenceServerException as exc:
                failures.append(exc)

        thread = threading.Thread(target=ask)
        thread.start()
        os.killpg(process.pid, signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.0)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=GONE_WITHIN_S)
        thread.join()
        assert failures
    assert not leftovers(name, pid)


def test_serve_starts_a_server_that_died_anew(echo_options: ServerOptions) -> None:
    with running_command(serve_code(*FREE_PORTS), echo_options) as process:
        url = read_line(process).split()[2].rstrip(",")
        name, pid = server_below(process.pid)
        with MattingModel(url, reconnect_s=60) as model, model.session(0.25) as session:
            os.kill(pid, signal.SIGKILL)
            (chunk,) = session.staged([SourceChunk(np.zeros((1, 8, 8, 3), np.uint8), (0,))])
            assert session.matte(chunk).pha.shape == (1, 8, 8)
        os.killpg(process.pid, signal.SIGINT)
        _, messages = process.communicate(timeout=GONE_WITHIN_S)
        assert process.returncode == 0
    assert "is started anew: the Triton server ended (killed by SIGKILL" in messages
    assert not leftovers(name, pid)


def test_serve_ends_when_its_server_cannot_be_started_anew(stub_options: ServerOptions) -> None:
    """The stub infers nothing, so that it never is a replacement."""
    with running_command(serve_code(*FREE_PORTS), stub_options) as process:
        read_line(process)
        name, pid = server_below(process.pid)
        os.kill(pid, signal.SIGKILL)
        _, messages = process.communicate(timeout=GONE_WITHIN_S)
        assert process.returncode == ServerError.exit_code
    anew, again, end = messages.splitlines()
    assert "is started anew: the Triton server ended (killed by SIGKILL" in anew
    assert "is tried once more" in again
    assert end.startswith("rvm-serve: no Triton server answers at")
    assert not leftovers(name, pid)


def test_serve_says_in_one_line_that_a_port_is_taken(echo_options: ServerOptions) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        repository = f"--model-repository={echo_options.model_repository}"
        result = invoke(serve_command, f"--grpc-port={port}", *FREE_PORTS[1:], repository)
    assert result.exit_code == ServerError.exit_code
    assert result.stdout == ""
    assert re.fullmatch(rf"rvm-serve: .*127\.0\.0\.1:{port}.*\n", result.stderr)
