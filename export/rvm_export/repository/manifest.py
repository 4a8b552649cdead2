"""`manifest.json` beside each model file: what the version is made of, and how to make it again."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from rvm_export.errors import RepositoryError, VerificationError
from rvm_export.hashes import sha256_of
from rvm_export.wire import Format, Layout, Precision, Refiner, Variant

FILE_NAME = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """All that is known of a version; JSON with the same names.

    What is None was not yet written when the version was made.
    """

    model_sha256: str
    weights_source: str
    weights_sha256: str
    refiner: Refiner
    precision: Precision
    device: str  # where the export checked it; the file runs on any
    torch_version: str
    code_version: str
    created: str  # UTC, ISO 8601
    # Levels of 0..255 over the golden frames: pha_max, pha_mean, fgr_max, fgr_mean.
    difference_from_eager: dict[str, float] = field(default_factory=dict)
    # The same from the reference's mattes; None for weights that have no golden mattes.
    difference_from_golden: dict[str, float] | None = None
    variant: Variant = Variant.MOBILENETV3  # also of manifests that do not say
    layout: Layout | None = None
    format: Format = Format.TORCHSCRIPT
    # Of the archive, as PyTorch counts it, or the opset of an ONNX file.
    format_version: int | None = None
    # What made the file: "python", "torch", "numpy", "platform", and for ONNX its packages.
    toolchain: dict[str, str] | None = None
    # Of PyTorch, while the version was checked.
    threads: int | None = None
    # SHA-256 of the sources that decide what is in the file.
    code_sha256: str | None = None

    def write(self, folder: Path) -> None:
        """Into `folder`, as `manifest.json`."""
        text = json.dumps(asdict(self), indent=2)
        (folder / FILE_NAME).write_text(f"{text}\n", "utf-8")

    def check_hash(self, model_file: Path) -> None:
        """Make sure that a TorchScript file is the one that the manifest is about.

        Raises:
            VerificationError: it is another one, or is not there.
        """
        if not model_file.is_file():
            raise VerificationError(f"there is no {model_file}")
        if (actual := sha256_of(model_file)) != self.model_sha256:
            raise VerificationError(
                f"{model_file} has the SHA-256 {actual}, but its manifest says {self.model_sha256}"
            )

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """From a version's folder. What a newer program says beside what is known is left out.

        Raises:
            RepositoryError: there is none, or it is not one of ours.
        """
        path = folder / FILE_NAME
        try:
            values = json.loads(path.read_text("utf-8"))
            values["refiner"] = Refiner(values["refiner"])
            values["precision"] = Precision(values["precision"])
            values["variant"] = Variant(values.get("variant", Variant.MOBILENETV3))
            values["format"] = Format(values.get("format", Format.TORCHSCRIPT))
            if values.get("layout") is not None:
                values["layout"] = Layout(values["layout"])
            known = {each.name for each in fields(cls)}
            return cls(**{name: value for name, value in values.items() if name in known})
        except OSError as exc:
            raise RepositoryError(f"cannot read {path}: {exc.strerror}") from exc
        except (ValueError, KeyError, TypeError) as exc:
            raise RepositoryError(f"{path} is damaged or of another program: {exc}") from exc
