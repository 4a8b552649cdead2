"""What is checked: the models of one repository, and a server of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.clips import SIZES, write_clip
from bench.serving import start_server
from bench.settings import BenchSettings
from rvm_client.closing import Closing
from rvm_client.errors import ServerError
from rvm_client.matte import MattingModel
from rvm_client.matte.served import ModelAddress
from rvm_client.pixels import I420, RGB, PixelLayout, yuv_to_rgb
from rvm_client.server import TritonServer
from rvm_export.wire import Layout, ModelKind, Precision

# Small enough for a rehearsal in seconds.
_QUICK_SIZES = {"144p": (144, 256, 0.5)}
_BT709 = 1
LAYOUTS: dict[Layout, PixelLayout] = {
    Layout.RGB: RGB,
    Layout.YUV: I420(yuv_to_rgb(_BT709, full_range=False)),
}
"""What the export calls a layout, and what the client sends."""


@dataclass(frozen=True)
class CheckSettings(BenchSettings):
    """Options of scripts/gpu-check."""

    is_given: bool = False
    """The repository is somebody's; otherwise it is made here."""

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU is checked, or its check rehearsed on a processor."""
        return self.device == "cuda"

    @property
    def export_precision(self) -> Precision:
        """What is exported: processors are slow with half precision."""
        return Precision.FP16 if self.on_gpu else Precision.FP32

    @property
    def sizes(self) -> dict[str, tuple[int, int, float]]:
        """Name -> height, width, ratio."""
        return _QUICK_SIZES if self.quick else SIZES

    @property
    def largest_size(self) -> str:
        """The name of the size that jobs have."""
        return [*self.sizes][-1]

    @property
    def counts(self) -> tuple[int, ...]:
        """The T that the network is measured with."""
        return (4,) if self.quick else (1, 4)

    @property
    def repetitions(self) -> int:
        """How often each measurement is made."""
        return 2 if self.quick else 30 if self.on_gpu else 3

    @property
    def clip_frames(self) -> int:
        """The frames of a job's video."""
        return 6 if self.quick else 300 if self.on_gpu else 24

    @property
    def jobs(self) -> int:
        """How often each job is done."""
        return 3 if self.on_gpu and not self.quick else 1


class Subject(Closing):
    """The models with a server, which starts when it is first needed; a context manager.

    Args:
        settings: of the check.
        folder: for what goes away afterwards.
    """

    def __init__(self, settings: CheckSettings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self._server: TritonServer | None = None
        self._failure: Exception | None = None

    def close(self) -> None:
        """Stop the server, which starts again when it is needed."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def server(self) -> TritonServer:
        """The running server.

        Raises:
            ConfigError, ServerStartError: it does not start; it is not tried twice.
        """
        if self._failure is not None:
            raise self._failure
        if self._server is None:
            try:
                self._server = start_server(self.settings)
            except Exception as exc:
                self._failure = exc
                raise
        return self._server

    @contextmanager
    def model(self) -> Iterator[MattingModel]:
        """A connection to the running server."""
        with MattingModel(self.server().grpc_url) as model:
            yield model

    def clip(self) -> Path:
        """The video of the jobs, of the largest size."""
        path = self.folder / "clip.mp4"
        if not path.exists():
            height, width, _ = self.settings.sizes[self.settings.largest_size]
            write_clip(path, height, width, self.settings.clip_frames)
        return path


def address_of(model: MattingModel, layout: Layout) -> ModelAddress:
    """Where the requests of one layout go.

    Raises:
        ServerError: the server has no model for it.
    """
    name = ModelKind(layout=layout).name
    for address in model.addresses:
        if address.name == name:
            return address
    raise ServerError(
        f"the server has no model {name}; export it with rvm-export export --layout {layout.value}"
    )
