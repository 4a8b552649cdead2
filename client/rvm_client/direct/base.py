"""What the session for programs that wait and the one for asyncio have in common."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

from rvm_client.direct.scene import Scene, SessionOptions
from rvm_client.errors import UsageError
from rvm_client.matte import Credentials, MattingModel
from rvm_client.options import ModelName


class BaseSession:
    """The making of a session, and what may be asked of it; MattingSession says what all means."""

    _connects_at_once: ClassVar[bool]

    def __init__(
        self,
        server: str | Sequence[str],
        *,
        model: ModelName = "mobilenetv3",
        downsample_ratio: float | Literal["auto"] = "auto",
        frames_per_request: int | None = None,
        warm_start: bool = False,
        live: bool = False,
        token: str | None = None,
        tls: bool | Path | str = False,
        request_id: str = "",
        request_timeout_s: float = 60.0,
        reconnect_s: float = 30.0,
        busy_s: float = 60.0,
    ) -> None:
        options = SessionOptions(
            downsample_ratio, frames_per_request, warm_start, live, request_id, model
        )
        open_model = partial(
            MattingModel,
            server,
            credentials=Credentials(token, Path(tls) if isinstance(tls, str) else tls),
            request_timeout_s=request_timeout_s,
            reconnect_s=reconnect_s,
            busy_s=busy_s,
        )
        self._scene: Scene | None = None
        self._open_scene: Callable[[], Scene] = lambda: _scene(open_model(), options)
        if self._connects_at_once:
            self._scene = self._open_scene()

    @property
    def server(self) -> str:
        """HOST:PORT of the server that is used now."""
        return self._opened.model.url

    @property
    def model_version(self) -> str:
        """The version of its model there: that of the video, once it has begun."""
        scene = self._opened
        return (
            scene.chunks.model_version
            if scene.is_open
            else scene.model.version_of(scene.options.variant)
        )

    @property
    def transport(self) -> str | None:
        """How frames go there: "shared memory" or "gRPC"; None before the first one."""
        scene = self._opened
        return scene.chunks.transport_name if scene.is_open else None

    def reset(self) -> None:
        """Begin a new scene with the next call, whose frames may be of another size."""
        self._opened.begin_scene()

    @property
    def _opened(self) -> Scene:
        if self._scene is None:
            raise UsageError("the session is not open; enter it with `with` or `async with` first")
        return self._scene


def _scene(model: MattingModel, options: SessionOptions) -> Scene:
    """Raises: NotServedError: the server has no such model; the connection is closed."""
    try:
        model.check_has(options.variant)
    except BaseException:
        model.close()
        raise
    return Scene(model, options)
