"""What a running Triton server is asked for when versions come and go."""

from pathlib import Path

from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2

from rvm_client.closing import Closing
from rvm_client.errors import ServerError
from rvm_client.matte import Connection, Credentials, ModelAddress, check_golden_frame
from rvm_client.wire import ACTIVE_VERSION
from rvm_export.errors import RolloutError
from rvm_export.repository import GOLDEN_FILE, MODEL_FILE, Repository, ServedVersions

_CANDIDATE_SUFFIX = "_candidate"
_REQUEST_TIMEOUT_S = 120.0
# Stands beside the active one in the model's config.
_PREVIOUS_VERSION = "previous_version"
# What Triton says where it is not in explicit control mode.
_NOT_CONTROLLED = "explicit model load / unload is not allowed"


class ModelServer(Closing):
    """A Triton server in explicit control mode; its models are those of our repository.

    Args:
        url: HOST:PORT of its gRPC endpoint. On its own machine, as its own user, we have its key.
        credentials: how one comes in otherwise.

    Raises:
        RolloutError: nothing answers there.
    """

    def __init__(self, url: str, credentials: Credentials | None = None) -> None:
        self.url = url
        self._connection = Connection(url, _REQUEST_TIMEOUT_S, credentials)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def try_out(self, repository: Repository, version: int) -> None:
        """Let the server load a version under a name that no client asks for, and check a matte.

        Raises:
            RolloutError: it cannot be loaded, or does not give the mattes that it was exported to.
        """
        folder = repository.version_folder(version)
        name = f"{repository.kind.name}{_CANDIDATE_SUFFIX}"
        what = f"version {version} of {repository.kind.name}"
        try:
            files = {f"file:1/{MODEL_FILE}": (folder / MODEL_FILE).read_bytes()}
        except OSError as exc:
            raise RolloutError(f"cannot read {what}: {exc.strerror}") from exc
        try:
            self._connection.load(name, _candidate_config(repository, name), files)
            try:
                self._check(name, "1", folder)
            finally:
                self._connection.unload(name)
        except ServerError as exc:
            if _NOT_CONTROLLED in str(exc):
                raise RolloutError(
                    f"the server at {self.url} loads no versions while it runs; start it with "
                    "rvm-serve --model-control explicit, or RVM_MODEL_CONTROL=explicit"
                ) from exc
            raise RolloutError(f"{what} is refused by the server at {self.url}: {exc}") from exc

    def reload(self, repository: Repository, needed: int) -> None:
        """Serve the versions that the model's config now names.

        What is served already is served on, and goes on to be where the load fails.

        Raises:
            RolloutError: one cannot be loaded, or the server reads another repository.
        """
        name = repository.kind.name
        try:
            self._connection.load(name)
            self._check(name, str(needed), repository.version_folder(needed))
        except ServerError as exc:
            raise RolloutError(
                f"the server at {self.url} does not serve version {needed} of {name}: {exc}"
            ) from exc

    def served(self, repository: Repository) -> ServedVersions:
        """The versions that are loaded now, of which clients begin videos with the active one.

        Raises:
            RolloutError: the server does not say.
        """
        name = repository.kind.name
        try:
            if not self._connection.is_served(name):
                return ServedVersions(None, ())
            loaded = tuple(int(v) for v in self._connection.metadata(name).versions)
            parameters = self._connection.config(name).parameters
        except ServerError as exc:
            raise RolloutError(f"the server at {self.url} does not say what it has: {exc}") from exc
        active, previous = (
            int(text) if (text := parameters[key].string_value).isdigit() else None
            for key in (ACTIVE_VERSION, _PREVIOUS_VERSION)
        )
        if active not in loaded:
            active = max(loaded, default=None)
        return ServedVersions(active, loaded, previous)

    def last_requests_s(self, repository: Repository) -> dict[int, float]:
        """When each loaded version did its last request, by the server's clock; 0: never.

        Raises:
            RolloutError: the server does not say.
        """
        try:
            last_s = self._connection.last_inferences_s(repository.kind.name)
        except ServerError as exc:
            raise RolloutError(f"the server at {self.url} does not say who uses it: {exc}") from exc
        return {int(version): seconds for version, seconds in last_s.items()}

    def _check(self, name: str, version: str, folder: Path) -> None:
        """One version that is served gives the mattes that it was exported to give."""
        if version not in self._connection.metadata(name).versions:
            raise ServerError(
                "it is not there after the load; name the model repository that the server was "
                "started with in --repository"
            )
        # The golden frame has states of its own.
        model = ModelAddress(self._connection, name, version, state_dtype="", runs_on_gpu=False)
        check_golden_frame(model, folder / GOLDEN_FILE)


def _candidate_config(repository: Repository, name: str) -> str:
    """The model's own config as JSON, for one version, without the files of its warm-up."""
    path = repository.model_folder / "config.pbtxt"
    try:
        config = text_format.Parse(path.read_text("utf-8"), model_config_pb2.ModelConfig())
    except OSError as exc:
        raise RolloutError(f"cannot read {path}: {exc.strerror}") from exc
    except (ValueError, text_format.ParseError) as exc:
        raise RolloutError(f"{path} is not a config that Triton takes: {exc}") from exc
    config.name = name
    config.ClearField("model_warmup")
    config.ClearField("version_policy")
    return str(json_format.MessageToJson(config, preserving_proto_field_name=True))
