"""Items on one server, one after another or side by side."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from rvm_client.batch.items import Item, Outcome, Status
from rvm_client.batch.pieces import Joining, Making, Planning
from rvm_client.batch.targets import Target
from rvm_client.closing import Closing
from rvm_client.config import Settings
from rvm_client.decode import check_source
from rvm_client.errors import (
    AccessError,
    ConfigError,
    ServerLostError,
    ServerStartError,
    StoppedError,
)
from rvm_client.machine import naming_want_of_memory
from rvm_client.matte import MattingModel, probe_within
from rvm_client.options import Limits, MatteOptions
from rvm_client.output_types import FileRole
from rvm_client.pipeline import (
    MatteProgress,
    MatteResult,
    jobs_at_once,
    join_segments,
    load_segment,
    matte_segment,
    matte_video,
)
from rvm_client.server import ServerOptions, ServerSupply, StartingServer, Supervisor
from rvm_client.source_file import local_file
from rvm_client.split import SplitPlan, plan_split
from rvm_client.wire import Variant

# What fails every later item as well.
_FAILS_ALL = (AccessError, ConfigError, ServerLostError, ServerStartError)


class Workplace(Closing):
    """A server that is started once, or one that runs, and what is done on it.

    Args:
        settings: the environment.
        target: where results go.
        triton_url: HOST:PORT of a server that runs; None: one of our own is started.

    Raises:
        ServerError: there is no server.
    """

    def __init__(self, settings: Settings, target: Target, triton_url: str | None) -> None:
        self._settings = settings
        self._target = target
        with ExitStack() as stack:
            self._servers = triton_url or self._own_server(stack)
            with MattingModel.configured(self._servers, settings) as model:
                self.items_at_once = jobs_at_once(settings, model)
                self.versions = {v: model.version_of(v) for v in Variant if model.has(v)}
            self._stack = stack.pop_all()
        self._limits = Limits.configured(settings, jobs_at_once=self.items_at_once)

    def close(self) -> None:
        """Stop the server, if it is ours."""
        self._stack.close()

    def do(
        self,
        item: Item,
        cancelled: threading.Event,
        on_progress: Callable[[MatteProgress], None] | None = None,
    ) -> Outcome:
        """Do one item, in any thread. A failure of its own is an outcome.

        Raises:
            StoppedError: `cancelled` was set.
            RvmError: no other item could be done either.
        """
        started_s = time.monotonic()
        try:
            with naming_want_of_memory():
                return self._do(item, cancelled, on_progress, started_s)
        except (StoppedError, *_FAILS_ALL):
            raise
        except Exception as exc:
            return Outcome.failed(item, exc, time.monotonic() - started_s)

    def _own_server(self, stack: ExitStack) -> ServerSupply:
        own = replace(ServerOptions.configured(self._settings), exit_timeout_s=0)
        server = stack.enter_context(StartingServer(own)).ready()
        probe = probe_within(self._settings.request_timeout_s)
        return stack.enter_context(Supervisor(server, probe))

    def _do(
        self,
        item: Item,
        cancelled: threading.Event,
        on_progress: Callable[[MatteProgress], None] | None,
        started_s: float,
    ) -> Outcome:
        with ExitStack() as stack:
            options = item.options
            if item.background is not None:
                behind = stack.enter_context(local_file(item.background, self._settings, cancelled))
                options = replace(options, background=behind)
            source = stack.enter_context(local_file(item.source, self._settings, cancelled))
            place = stack.enter_context(self._target.place(item))
            if item.preview:
                preview = place.with_name(item.file_names[FileRole.PREVIEW])
                options = replace(options, preview=preview)
            work = _Work(item, source, place, options, on_progress, cancelled, started_s)
            if isinstance(item.piece, Making):
                return self._make_segment(work, item.piece)
            if isinstance(item.piece, Joining):
                return self._kept(work, self._joined(work, item.piece))
            if isinstance(item.piece, Planning):
                plan = self._plan(work, item.piece)
                if plan is not None:
                    return Outcome(item, Status.DONE, plan=plan)
            return self._kept(work, self._matted(work))

    def _matted(self, work: "_Work") -> MatteResult:
        check_source(work.source, work.options, self._limits)
        with MattingModel.configured(self._servers, self._settings) as model:
            return matte_video(
                work.source,
                work.place,
                model,
                work.options,
                self._limits,
                on_progress=work.on_progress,
                cancelled=work.cancelled,
                request_id=work.item.name,
            )

    def _plan(self, work: "_Work", piece: Planning) -> SplitPlan | None:
        if piece.only_if_side_by_side and self.items_at_once == 1:
            return None
        return plan_split(work.source, work.options, self._limits, piece.segment_seconds)

    def _make_segment(self, work: "_Work", piece: Making) -> Outcome:
        Path(piece.folder).mkdir(parents=True, exist_ok=True)
        before = None if piece.continues is None else load_segment(Path(piece.continues))
        with MattingModel.configured(self._servers, self._settings) as model:
            matte_segment(
                work.source,
                Path(piece.target),
                model,
                replace(work.options, segment=piece.segment),
                self._limits,
                states=None if before is None else before.states,
                on_progress=work.on_progress,
                cancelled=work.cancelled,
                request_id=f"{work.item.name}-{piece.number}",
            )
        return Outcome(work.item, Status.DONE)

    def _joined(self, work: "_Work", piece: Joining) -> MatteResult:
        return join_segments(
            work.source,
            work.place,
            [Path(segment) for segment in piece.segments],
            work.options,
            self._limits,
            cancelled=work.cancelled,
        )

    def _kept(self, work: "_Work", result: MatteResult) -> Outcome:
        files = self._target.keep(result.files, work.item, work.cancelled)
        return _outcome(work.item, result, files, time.monotonic() - work.started_s)


@dataclass(frozen=True)
class _Work:
    """An item with its files at hand."""

    item: Item
    source: Path
    place: Path
    options: MatteOptions
    on_progress: Callable[[MatteProgress], None] | None
    cancelled: threading.Event
    started_s: float


def _outcome(
    item: Item, result: MatteResult, files: dict[FileRole, str], seconds: float
) -> Outcome:
    return Outcome(
        item,
        Status.DONE,
        files,
        bytes=result.files[FileRole.OUTPUT].stat().st_size,
        frames=result.frames,
        seconds=seconds,
        model_version=result.model_version,
        warnings=result.warnings,
    )
