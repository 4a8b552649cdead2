"""A model repository in a bucket: versions are pushed there, and real servers start from it."""

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from pydantic import SecretStr
from tests.support.commands import invoke
from tests.support.echo_model import EchoModel, write_repository
from tests.support.s3_server import S3Front, emptied_s3, running_moto

from rvm_client import MattingSession
from rvm_client.config import BucketLocation, Settings
from rvm_client.server import ServerOptions, TritonServer
from rvm_client.server.bucket_copy import bring_up_to_date
from rvm_client.server.command import server_command
from rvm_client.server.environment import server_environment
from rvm_client.server.install import find_triton
from rvm_client.server.options import choose_ports
from rvm_export.cli import main as rvm_export
from rvm_export.hashes import sha256_of
from rvm_export.repository.config_pbtxt import with_precision
from rvm_export.repository.manifest import Manifest
from rvm_export.repository.policy import ServedVersions, write_served
from rvm_export.repository.repository import GOLDEN_FILE, Repository
from rvm_export.wire import STATES_IN, Precision, Refiner

URL = "s3://models/of/production"
SERVE = "from rvm_client.cli.serve import main; main()"
KEYS = {"BUCKET_ACCESS_KEY_ID": "the-key-id", "BUCKET_SECRET_ACCESS_KEY": "the-secret"}
FRAME = np.full((32, 48, 3), (200, 50, 90), np.uint8)


class Inverse(EchoModel):
    """Its alpha is what red lacks, so that a matte tells which version made it."""

    def forward(
        self,
        src: torch.Tensor,
        r1i: torch.Tensor,
        r2i: torch.Tensor,
        r3i: torch.Tensor,
        r4i: torch.Tensor,
        downsample_ratio: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        assert float(downsample_ratio) > 0.0
        return src, 255 - src[..., :1].contiguous(), r1i + 1, r2i + 1, r3i + 1, r4i + 1


@dataclass(frozen=True)
class Place:
    """The bucket, the repository that it gets its versions from, and a machine with a cache."""

    front: S3Front
    s3: Any
    repository: Repository
    cache: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            **KEYS,
            "BUCKET_ENDPOINT_URL": self.front.base_url,
            "RVM_CACHE_DIR": str(self.cache),
        }

    def options(self, backend_cache: Path) -> ServerOptions:
        settings = Settings(
            model_repository=BucketLocation.parse(URL),
            bucket_endpoint_url=SecretStr(self.front.base_url),
            bucket_access_key_id=SecretStr(KEYS["BUCKET_ACCESS_KEY_ID"]),
            bucket_secret_access_key=SecretStr(KEYS["BUCKET_SECRET_ACCESS_KEY"]),
            cache_dir=self.cache,
        )
        options = ServerOptions.configured(settings)
        return replace(options, cache_dir=backend_cache, threads=1, exit_timeout_s=0)

    def push(self, *arguments: str, status: int = 0) -> Result:
        where = ("--repository", str(self.repository.path))
        return self.run("push", URL, *arguments, *where, status=status)

    def run(self, *arguments: str, status: int = 0) -> Result:
        result = invoke(rvm_export, *arguments, **self.environment)
        assert result.exit_code == status, result.output
        return result

    def names(self) -> set[str]:
        listed = self.s3.list_objects_v2(Bucket="models", Prefix="of/production/")
        return {each["Key"].removeprefix("of/production/") for each in listed.get("Contents", [])}

    def asked_for(self, method: str) -> list[str]:
        """The files that requests since the last call were about, in their order."""
        requests = [r for r in self.front.requests if r.method == method]
        self.front.requests.clear()
        paths = [r.path.partition("?")[0].partition("of/production/")[2] for r in requests]
        return [path for path in paths if path]


def publish(repository: Repository, version: int, model: torch.nn.Module) -> None:
    """A version of an echo, with its golden frame and a manifest."""
    src, zero = FRAME[None, None], np.zeros((1, 1, 1, 1), np.float32)
    inputs: dict[str, Any] = {
        "src": src,
        **dict.fromkeys(STATES_IN, zero),
        "downsample_ratio": np.ones(1, "f4"),
    }
    fgr, pha = (out.numpy() for out in model(*map(torch.tensor, inputs.values()))[:2])
    with repository.locked(), repository.staging(version) as staged:
        file = staged / "model.pt"
        torch.jit.save(torch.jit.script(model), str(file))
        now = datetime.now(UTC).isoformat()
        facts = (Refiner.FAST, Precision.FP32, "cpu", torch.__version__, "0", now)
        tolerances = {"pha_max": 0, "fgr_max": 0, "mean": 0}
        np.savez_compressed(staged / GOLDEN_FILE, **inputs, fgr=fgr, pha=pha, **tolerances)
        Manifest(sha256_of(file), "an echo", "0" * 64, *facts).write(staged)
        repository.publish(staged)


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    with running_moto() as url:
        yield url


@pytest.fixture
def place(moto_url: str, tmp_path: Path) -> Iterator[Place]:
    """A repository with version 1, and an empty bucket."""
    path = write_repository(tmp_path / "repository")
    repository = Repository(path)
    repository.remove(1)
    publish(repository, 1, EchoModel())
    # Each start is seconds faster.
    config = repository.model_folder / "config.pbtxt"
    config.write_text(re.sub(r"(?s)\nmodel_warmup \[.*\n\]", "", config.read_text()))
    with emptied_s3(moto_url, "models") as s3, S3Front(moto_url) as front:
        yield Place(front, s3, repository, tmp_path / "cache")


def alpha(url: str) -> tuple[str, int]:
    """The version that answers, and what it makes of the frame's red, 200."""
    with MattingSession(url, warm_start=False) as session:
        (matte,) = session.matte([FRAME])
        return session.model_version, int(matte.alpha[0, 0])


def test_servers_start_from_a_bucket_and_are_rolled_on(
    place: Place, backend_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Version 1; then 2, of which alone is fetched; then, with the bucket away, what was there."""
    caplog.set_level(logging.WARNING, "rvm_client")
    write_served(place.repository, ServedVersions(1, (1,)))
    place.push()
    with TritonServer.start(replace(place.options(backend_cache), is_controlled=True)) as server:
        assert alpha(server.grpc_url) == ("1", 200)
        publish(place.repository, 2, Inverse())
        place.push()
        place.asked_for("GET")
        copy = place.run("pull", URL).stdout.strip()
        name = place.repository.kind.name
        files = ("golden.npz", "manifest.json", "model.pt")
        assert sorted(place.asked_for("GET")) == [f"{name}/2/{file}" for file in files]
        assert alpha(server.grpc_url) == ("1", 200)
        where = ("--server", server.grpc_url, "--repository", copy)
        place.run("activate", "2", *where, "--no-wait")
        assert alpha(server.grpc_url) == ("2", 55)
    assert not caplog.records

    place.front.close()
    ready, said = serve(place, backend_cache)
    assert ready.endswith("model rvm_mobilenetv3 version 2\n")
    assert "could not be reached" in said
    assert "is served as it is" in said


def serve(place: Place, backend_cache: Path) -> tuple[str, str]:
    """What `rvm-serve` says when it is ready, and what else it says until it is stopped."""
    (place.cache / "triton-backends").symlink_to(backend_cache / "triton-backends")
    ports = [f"--{kind}-port=0" for kind in ("grpc", "http", "metrics")]
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, f"--model-repository={URL}", *ports],
        env=os.environ | place.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        process.terminate()
        rest, said = process.communicate(timeout=60)
        assert (process.returncode, rest) == (0, ""), said
    return ready, said


def test_what_arrives_damaged_changes_nothing(place: Place, backend_cache: Path) -> None:
    """Here the last start's copy stays; whoever pulls wants the bucket as it is, and is told."""
    place.push()
    options = place.options(backend_cache)
    assert options.source is not None
    bring_up_to_date(options.source)
    before = options.model_repository.stat().st_mtime_ns
    for file, content in (("model.pt", b"damaged"), ("manifest.json", b'{"model_sha256": "0"}')):
        key = f"of/production/{place.repository.kind.name}/3/{file}"
        place.s3.put_object(Bucket="models", Key=key, Body=content)
    bring_up_to_date(options.source)
    assert "3/model.pt in s3://models/of/production is damaged" in (
        place.run("pull", URL, status=5).stderr
    )
    assert Repository(options.model_repository).versions() == [1]
    assert options.model_repository.stat().st_mtime_ns == before


def test_triton_s_own_s3(place: Place, backend_cache: Path) -> None:
    """The embedded server reads a bucket itself, where its process gets the keys."""
    place.push()
    install = find_triton(None, backend_cache)
    environment = server_environment(os.environ, install)
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "x"}
    ports = choose_ports(ServerOptions(Path()))
    command = [
        *server_command(install, environment),
        f"--model-repository=s3://{place.s3.meta.endpoint_url}/models/of/production",
        f"--backend-directory={install.backends}",
        f"--grpc-port={ports.grpc}",
        f"--http-port={ports.http}",
        f"--metrics-port={ports.metrics}",
        "--exit-timeout-secs=1",
    ]
    with subprocess.Popen(command, env=environment | keys, stderr=subprocess.PIPE, text=True) as it:
        assert it.stderr is not None
        lines = iter(it.stderr.readline, "")
        assert any("Started HTTPService" in line for line in lines)
        try:
            assert alpha(f"127.0.0.1:{ports.grpc}") == ("1", 200)
        finally:
            it.terminate()
            it.communicate(timeout=60)


# --- push


def test_a_push_adds_what_is_not_there(place: Place) -> None:
    """A version's manifest is its last file, the config the last of all."""
    name = place.repository.kind.name
    first = place.push()
    assert first.stdout == f"added {URL}/{name}/1\n"
    stored = place.asked_for("PUT")
    version, rest = stored[: stored.index(f"{name}/1/manifest.json") + 1], stored[len(stored) - 2 :]
    assert version == [f"{name}/1/{file}" for file in ("golden.npz", "model.pt", "manifest.json")]
    assert rest == [f"{name}/warmup/downsample_ratio_0.25", f"{name}/config.pbtxt"]
    again = place.push()
    assert (again.stdout, place.asked_for("PUT")) == ("", [])
    assert "are in s3://models/of/production already" in again.stderr
    publish(place.repository, 2, Inverse())
    write_served(place.repository, ServedVersions(2, (2,)))
    assert place.push().stdout == f"added {URL}/{name}/2\n"
    files = ("2/golden.npz", "2/model.pt", "2/manifest.json", "config.pbtxt")
    added = [f"{name}/{file}" for file in files]
    assert place.asked_for("PUT") == added


def test_versions_that_the_repository_has_no_more(place: Place) -> None:
    name = place.repository.kind.name
    publish(place.repository, 2, Inverse())
    place.push()
    invoke(rvm_export, "retire", 1, "--repository", place.repository.path)
    assert place.push().stdout == ""
    assert f"{name}/1/model.pt" in place.names()
    place.front.requests.clear()
    assert place.push("--delete").stdout == f"removed {URL}/{name}/1\n"
    first, *_ = place.asked_for("DELETE")
    assert first == f"{name}/1/manifest.json"
    assert not [each for each in place.names() if each.startswith(f"{name}/1/")]
    assert f"{name}/2/model.pt" in place.names()


def test_another_version_of_the_same_number(place: Place) -> None:
    place.push()
    place.repository.remove(1)
    publish(place.repository, 1, Inverse())
    before = place.names()
    refused = place.push(status=2)
    assert "version 1 of rvm_mobilenetv3 in s3://models/of/production is another one" in (
        refused.stderr
    )
    assert place.names() == before


def test_another_precision(place: Place) -> None:
    place.push()
    config = place.repository.model_folder / "config.pbtxt"
    config.write_text(with_precision(config.read_text(), Precision.FP16))
    refused = place.push(status=2)
    assert "has rvm_mobilenetv3 in fp32, and one model has one precision" in refused.stderr


def test_a_version_that_is_damaged_here(place: Place) -> None:
    with (place.repository.version_folder(1) / "model.pt").open("ab") as file:
        file.write(b"more")
    assert "but its manifest says" in place.push(status=4).stderr
    assert place.names() == set()


def test_a_bucket_that_is_not_there(place: Place, tmp_path: Path) -> None:
    place.front.close()
    assert "could not be reached" in place.push(status=5).stderr
    where = ("--repository", place.repository.path)
    for url in ("models", "s3://http://host/models"):
        refused = invoke(rvm_export, "push", url, *where)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "write it as s3://BUCKET/PREFIX" in refused.stderr
    refused = invoke(rvm_export, "push", URL, "--repository", tmp_path / "empty")
    assert "has no version; make one" in refused.stderr
    refused = invoke(rvm_export, "list", RVM_MODEL_REPOSITORY=URL)
    assert "bring versions to the bucket with rvm-export push" in refused.stderr
