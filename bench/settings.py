"""What one run of the bench measures, and how often."""

from dataclasses import dataclass
from pathlib import Path

from bench.clips import SIZES
from rvm_client.machine import Hardware
from rvm_client.matte import frames_per_request, shared_room_bytes
from rvm_client.pixels import RGB
from rvm_client.server import active_version
from rvm_client.wire import MODEL_NAME
from rvm_export.repository.manifest import Manifest


@dataclass(frozen=True)
class BenchSettings:
    """Options of scripts/bench."""

    repository: Path
    quick: bool
    device: str
    threads: int
    clip: Path | None = None
    """For the encoders; None: the golden portrait, panned."""

    @property
    def repetitions(self) -> int:
        """How often each measurement is made."""
        return 3 if self.quick else 7

    @property
    def clip_frames(self) -> int:
        """The frames of the videos that go through the pipeline."""
        return 12 if self.quick else 48

    @property
    def sizes(self) -> dict[str, tuple[int, int, float]]:
        """Name -> height, width, ratio."""
        return {"1080p": SIZES["1080p"]} if self.quick else SIZES

    @property
    def hardware(self) -> Hardware:
        """The codecs that the stages use."""
        return Hardware(Path("/dev") if self.device == "cuda" else None)

    @property
    def version_folder(self) -> Path:
        """The version that Triton would serve."""
        version = active_version(self.repository, MODEL_NAME)
        return self.repository / MODEL_NAME / str(version)

    @property
    def model_file(self) -> Path:
        """Its TorchScript."""
        return self.version_folder / "model.pt"

    @property
    def precision(self) -> str:
        """The precision of its weights and states."""
        return Manifest.read(self.version_folder).precision.value

    def chunk_frames(self, size: str) -> int:
        """T, as the pipeline chooses it."""
        height, width, _ = self.sizes[size]
        return frames_per_request(
            width,
            height,
            on_gpu=self.device == "cuda",
            layout=RGB,
            queue_depth=1,
            room_bytes=shared_room_bytes(),
        )
