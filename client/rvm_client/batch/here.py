"""The engine of this process: items on this machine's server, as many at once as fit it."""

import threading
from collections.abc import Generator, Sequence
from concurrent import futures

from rvm_client.batch.engine import Backlog, Watcher
from rvm_client.batch.items import Item, Outcome, ServedModel
from rvm_client.batch.targets import Target
from rvm_client.batch.workplace import Workplace
from rvm_client.closing import Closing
from rvm_client.config import Settings
from rvm_client.errors import ServerLostError
from rvm_client.matte import MattingModel
from rvm_client.pipeline import MatteProgress
from rvm_client.server import ServerOptions, active_version
from rvm_client.wire import ModelKind, Variant

# A signal that came just before the main thread waited is seen when it wakes.
_LOOK_S = 0.5


class Here(Closing):
    """See Engine. A server of our own is started with the first item that is to be done.

    Args:
        settings: the environment.
        target: where results go.
        triton_url: HOST:PORT of a server that runs; None: one of our own.
    """

    def __init__(self, settings: Settings, target: Target, triton_url: str | None) -> None:
        self._settings = settings
        self._target = target
        self._triton_url = triton_url
        self._workplace: Workplace | None = None
        self._lost_the_server = threading.Event()
        """The last item did."""

    def close(self) -> None:
        """Stop a server of our own."""
        if self._workplace is not None:
            self._workplace.close()

    def model(self, variant: Variant) -> ServedModel:
        """See Engine: what the server has, or what one of our own would serve."""
        name = ModelKind(variant).name
        if self._triton_url is None:
            repository = ServerOptions.configured(self._settings).model_repository
            # Where there is none, the server or the item says so.
            return ServedModel(str(active_version(repository, name) or ""), name)
        with MattingModel.configured(self._triton_url, self._settings) as model:
            return ServedModel(model.version_of(variant), name)

    def check(self, items: Sequence[Item]) -> None:
        """See Engine: all can be done here."""

    def outcomes(self, waiting: Backlog, watcher: Watcher) -> Generator[Outcome, None, None]:
        """See Engine."""
        watcher.note("Starting the Triton server" if self._triton_url is None else "Connecting")
        self._workplace = workplace = Workplace(self._settings, self._target, self._triton_url)
        watcher.note("")
        cancelled = threading.Event()

        def do(item: Item) -> Outcome:
            def tell(progress: MatteProgress) -> None:
                watcher.moved(item, progress.frames_done, progress.frames_expected)

            watcher.started(item)
            try:
                outcome = workplace.do(item, cancelled, tell)
            except ServerLostError as exc:
                # One video that servers do not survive is not to stand in the way of the others.
                if self._lost_the_server.is_set():
                    raise
                self._lost_the_server.set()
                return Outcome.failed(item, exc)
            self._lost_the_server.clear()
            return outcome

        pool = futures.ThreadPoolExecutor(workplace.items_at_once, thread_name_prefix="item")
        try:
            going = set[futures.Future[Outcome]]()
            while waiting or going:
                while waiting and len(going) < workplace.items_at_once:
                    going.add(pool.submit(do, waiting.popleft()))
                done, going = futures.wait(going, _LOOK_S, futures.FIRST_COMPLETED)
                for work in done:
                    yield work.result()
        finally:
            cancelled.set()
            pool.shutdown(cancel_futures=True)
