"""The models, their server, and whether its mattes are right."""

import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import psutil
import torch
import tritonclient.grpc as triton
from tritonclient.utils import np_to_triton_dtype

from bench.clips import frames
from bench.gpu_check.lines import Check, CheckFailedError, Outcome, measured, not_here, passed
from bench.gpu_check.subject import LAYOUTS, Subject, address_of
from bench.serving import request, start_server
from rvm_client.matte import ChunkShape, MattingModel, Request, check_golden_frames
from rvm_client.matte.served import ModelAddress
from rvm_client.server import TritonServer
from rvm_export.config import cache_folder
from rvm_export.verify import verification, yuv_reference
from rvm_export.verify.differences import TOLERANCES, Difference, worst
from rvm_export.verify.goldens import INT8_CASES
from rvm_export.verify.run import Outputs
from rvm_export.weights.weights import Source, fetch_weights
from rvm_export.wire import OUTPUTS, Layout, Precision

_TF32 = "NVIDIA_TF32_OVERRIDE"


def model_checks(subject: Subject) -> Iterator[tuple[str, Check]]:
    """The repository."""
    if subject.settings.is_given:
        yield "models: as they were given", partial(_verify, subject)
    else:
        yield "models: exported and verified", partial(_export, subject)


def server_checks(subject: Subject) -> Iterator[tuple[str, Check]]:
    """From the server's start on; the first requests come first."""
    yield "server: start", partial(_start, subject)
    for layout in Layout:
        title = f"server: first request, {LAYOUTS[layout].name}"
        yield title, partial(_first_request, subject, layout)
    yield "server: the models run on the GPU", partial(_on_gpu, subject)
    yield "server: TF32 is off", partial(_tf32_is_off, subject)
    yield "server: the golden frame of each version", partial(_golden_frame, subject)


def golden_checks(subject: Subject) -> Iterator[tuple[str, Check]]:
    """RGB against the golden mattes; planes, which have none, against float32 on the processor."""
    for layout in Layout:
        yield f"goldens: {LAYOUTS[layout].name}", partial(_goldens, subject, layout)
    for layout in Layout:
        title = f"goldens: {LAYOUTS[layout].name}, TF32 forced on"
        yield title, partial(_goldens_in_tf32, subject, layout)


def _export(subject: Subject) -> Outcome:
    settings = subject.settings
    shutil.rmtree(settings.repository, ignore_errors=True)
    precision, device = settings.export_precision.value, settings.device
    started_s = time.perf_counter()
    # The golden mattes are those of the int8 release.
    what = ("--weights", "int8", "--precision", precision, "--layout", "both")
    _rvm_export(subject, "export", *what)
    seconds = time.perf_counter() - started_s
    return passed(
        f"{precision}, both layouts, verified on {device}; {seconds:.0f} s", seconds=round(seconds)
    )


def _verify(subject: Subject) -> Outcome:
    _rvm_export(subject, "verify")
    settings = subject.settings
    return passed(f"{settings.precision}, verified again on {settings.device}")


def _rvm_export(subject: Subject, *arguments: str) -> None:
    settings = subject.settings
    where = ("--device", settings.device, "--repository", str(settings.repository))
    done = subprocess.run(
        [sys.executable, "-c", "from rvm_export.cli import main; main()", *arguments, *where],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it does not say why"])[-1]
        raise CheckFailedError(last)


def _start(subject: Subject) -> Outcome:
    subject.close()
    started_s = time.perf_counter()
    subject.server()
    seconds = round(time.perf_counter() - started_s, 2)
    return measured(f"ready after {seconds:g} s, its warm-up included", seconds=seconds)


def _first_request(subject: Subject, layout: Layout) -> Outcome:
    settings = subject.settings
    size = settings.largest_size
    height, width, ratio = settings.sizes[size]
    src = frames(height, width, settings.chunk_frames(size))
    if layout is Layout.YUV:
        src = yuv_reference.to_i420(src)
    shape = ChunkShape(len(src), height, width)
    with subject.model() as model:
        address_of(model, layout)
        with model.session(ratio, shape, LAYOUTS[layout]) as session:
            send = request(session, src)
            times_ms = []
            for _ in range(settings.repetitions + 1):
                started_s = time.perf_counter()
                send()
                times_ms.append(1000 * (time.perf_counter() - started_s))
    first_ms, later_ms = round(times_ms[0], 1), round(statistics.median(times_ms[1:]), 1)
    return measured(
        f"{first_ms:g} ms for {len(src)} frames of {size}, later {later_ms:g} ms",
        first_ms=first_ms,
        later_ms=later_ms,
    )


def _on_gpu(subject: Subject) -> Outcome:
    if not subject.settings.on_gpu:
        return not_here("this is a rehearsal on the CPU")
    with subject.model() as model:
        for layout in Layout:
            address = address_of(model, layout)
            if not address.runs_on_gpu:
                raise CheckFailedError(f"Triton runs {address.name} on a processor")
    return passed("both, by what Triton says of its instances")


def _tf32_is_off(subject: Subject) -> Outcome:
    server = psutil.Process(subject.server().pid)
    for process in [server, *server.children(recursive=True)]:
        value = process.environ().get(_TF32)
        if value != "0":
            raise CheckFailedError(
                f"the process {process.name()} has {_TF32}={value}, and not 0; unset it"
            )
    return passed(f"all processes of the server have {_TF32}=0")


def _golden_frame(subject: Subject) -> Outcome:
    with subject.model() as model:
        started_s = time.perf_counter()
        check_golden_frames(model, subject.settings.repository)
        ms = round(1000 * (time.perf_counter() - started_s))
    return passed(f"as a worker sends them before its first job; {ms} ms", ms=ms)


def _goldens(subject: Subject, layout: Layout) -> Outcome:
    found = _differences(subject, layout, subject.server())
    tolerance = TOLERANCES[Precision(subject.settings.precision)]
    for case, difference in found.items():
        tolerance.check(difference, f"the golden case {case}")
    largest = worst([*found.values()])
    return passed(_in_words(largest), **largest.as_dict())


def _goldens_in_tf32(subject: Subject, layout: Layout) -> Outcome:
    if not subject.settings.on_gpu:
        return not_here("only a GPU rounds float32 to TF32")
    subject.close()
    with start_server(subject.settings, **{_TF32: "1"}) as server:
        largest = worst([*_differences(subject, layout, server).values()])
    return measured(_in_words(largest), **largest.as_dict())


def _differences(
    subject: Subject, layout: Layout, server: TritonServer
) -> Mapping[str, Difference]:
    precision = Precision(subject.settings.precision)
    with MattingModel(server.grpc_url) as model:
        served = _ServedModel(address_of(model, layout), layout)
        through_triton = verification.Subject(served, layout, precision)
        if layout is Layout.RGB:
            return verification.differences_from_golden(through_triton, INT8_CASES)
        weights = fetch_weights(cache_folder() / "weights", lambda _: None, Source.INT8)
        return verification.differences_from_eager(through_triton, weights.network())


class _ServedModel:
    """A model on the server, called as one in this process."""

    def __init__(self, address: ModelAddress, layout: Layout) -> None:
        self._address = address
        self._names = layout.inputs

    def __call__(self, *tensors: torch.Tensor) -> Outputs:
        """As `forward` of the layout."""
        inputs = []
        for name, tensor in zip(self._names, tensors, strict=True):
            array = tensor.numpy()
            inputs.append(
                triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
            )
            inputs[-1].set_data_from_numpy(np.ascontiguousarray(array))
        answer = self._address.connection.infer(
            Request(self._address.name, self._address.version, inputs)
        )
        fgr, pha, r1, r2, r3, r4 = (torch.tensor(answer.as_numpy(name)) for name in OUTPUTS)
        return fgr, pha, r1, r2, r3, r4


def _in_words(largest: Difference) -> str:
    mean = max(largest.pha_mean, largest.fgr_mean)
    return (
        f"alpha differs by at most {largest.pha_max:g} of 255 levels, foreground by "
        f"{largest.fgr_max:g}; {mean:.3f} on average"
    )
