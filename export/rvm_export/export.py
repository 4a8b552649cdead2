"""Make a version: its file, checked, published; and check a published one again."""

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import torch

from rvm_export.errors import UsageError, VerificationError, in_one_line
from rvm_export.hashes import sha256_of
from rvm_export.model_files import check_format, format_version, load_model, model_bytes
from rvm_export.provenance import code_sha256, toolchain
from rvm_export.repository import (
    Manifest,
    Repository,
    check_formats,
    check_precision,
    prepare_config,
)
from rvm_export.verify import (
    INT8_CASES,
    SEEDED_CASES,
    EagerModel,
    Subject,
    check_contract,
    check_splitting,
    compare_with_eager,
    compare_with_golden,
    seeded_network,
    write_golden_frame,
)
from rvm_export.weights import Say, Weights
from rvm_export.wire import Format, Layout, ModelKind, Precision, Variant


@dataclass(frozen=True)
class ExportOptions:
    """What to export to where."""

    repository: Path
    layouts: tuple[Layout, ...] = (Layout.RGB,)  # a model of each
    precision: Precision = Precision.FP32
    device: str = "cpu"  # where they are checked: "cpu" or "cuda"
    version: int | None = None  # of each model; None: the next that none of them has
    variant: Variant = Variant.MOBILENETV3
    format: Format = Format.TORCHSCRIPT

    @property
    def repositories(self) -> list[Repository]:
        """One for each model."""
        return [
            Repository(self.repository, ModelKind(self.variant, layout, self.format))
            for layout in self.layouts
        ]


def check_options(options: ExportOptions) -> None:
    """Find out what is wrong with the options before anything is fetched.

    Raises:
        UsageError: there is no such device, the version is there already, the repository has
            another precision or format, or the format cannot be made here.
    """
    check_device(options.device)
    _version(options)
    for repository in options.repositories:
        check_format(repository.kind, options.device)
        check_formats(repository)
        check_precision(repository, options.precision)


def check_device(device: str) -> None:
    """Raises: UsageError: there is no such device."""
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: PyTorch finds no GPU here; use --device cpu")


def _version(options: ExportOptions) -> int:
    return max(r.choose_version(options.version) for r in options.repositories)


def export(weights: Weights, options: ExportOptions, say: Say) -> list[Path]:
    """Make, verify and publish a version of each model; their folders.

    Raises:
        UsageError: as `check_options`.
        VerificationError: a model file is not what the network is. Neither it nor the models
            after it are published.
        RepositoryError: the repository cannot be written.
    """
    if weights.variant is not options.variant:
        raise UsageError(
            f"{weights.source} are weights of {weights.variant.value}, and the model is to be "
            f"{options.variant.value}; give --variant {weights.variant.value}"
        )
    # A lock is for the whole folder: any of the models' will do.
    with options.repositories[0].locked():
        check_options(options)
        version = _version(options)
        _check_network_code(options.variant)
        return [_export(weights, options, r, version, say) for r in options.repositories]


def _export(
    weights: Weights, options: ExportOptions, repository: Repository, version: int, say: Say
) -> Path:
    kind = repository.kind
    with repository.staging(version) as staged:
        prepare_config(repository.config_folder(staged), kind, options.precision)
        data = model_bytes(weights.network(), kind, options.precision)
        (staged / kind.format.file_name).write_bytes(data)
        say(f"Verifying version {version} of {kind.name} on {options.device}")
        _verified(weights, kind, options, staged).write(staged)
        write_golden_frame(staged, weights.network(), kind.layout, options.precision)
        return repository.publish(staged)


def _verified(weights: Weights, kind: ModelKind, options: ExportOptions, staged: Path) -> Manifest:
    file = staged / kind.format.file_name
    model = load_model(file, kind.format, options.device)
    subject = Subject(model, kind.layout, options.precision, options.device, kind.variant)
    check_contract(model, subject)
    check_splitting(subject)
    golden = None
    if weights.are_int8_release:
        golden = compare_with_golden(subject, INT8_CASES).as_dict()
    eager = compare_with_eager(subject, weights.network())
    return Manifest(
        model_sha256=sha256_of(file),
        weights_source=weights.source,
        weights_sha256=weights.sha256,
        refiner=weights.refiner,
        precision=options.precision,
        device=options.device,
        torch_version=torch.__version__,
        code_version=metadata.version("rvm-triton"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        difference_from_eager=eager.as_dict(),
        difference_from_golden=golden,
        variant=weights.variant,
        layout=kind.layout,
        format=kind.format,
        format_version=format_version(file, kind.format),
        toolchain=toolchain(kind.format),
        threads=torch.get_num_threads(),
        code_sha256=code_sha256(kind.format),
    )


def _check_network_code(variant: Variant) -> None:
    """The deep guided filter and the batch norms, by the seeded golden cases of the variant."""
    for case in SEEDED_CASES:
        if case.variant is variant and case.seed is not None:
            eager = EagerModel(seeded_network(case.seed, variant))
            compare_with_golden(Subject(eager, Layout.RGB, Precision.FP32), (case,))


def verify(repository: Repository, version: int, device: str) -> Manifest:
    """Check a published version again: hash, contract, dynamic sizes, golden mattes.

    Raises:
        VerificationError: it is damaged, of another variant, or does not compute what it must.
        RepositoryError: it has no manifest.
    """
    check_device(device)
    return verify_folder(repository.version_folder(version), repository.kind, device)


def verify_folder(folder: Path, kind: ModelKind, device: str) -> Manifest:
    """The same for a version that need not be published. Raises as `verify`."""
    manifest = Manifest.read(folder)
    if manifest.variant is not kind.variant:
        raise VerificationError(f"{folder} holds a model of the variant {manifest.variant.value}")
    check_format(kind, device)
    file = folder / kind.format.file_name
    manifest.check_hash(file)
    try:
        model = load_model(file, kind.format, device)
        subject = Subject(model, kind.layout, manifest.precision, device, kind.variant)
        check_contract(model, subject)
        check_splitting(subject)
        if manifest.difference_from_golden is not None:
            compare_with_golden(subject, INT8_CASES)
    except RuntimeError as exc:
        raise VerificationError(f"{file} does not run: {in_one_line(exc)}") from exc
    return manifest
