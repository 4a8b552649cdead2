"""The engine of a Ray cluster: an actor for each GPU, which is given items by their names.

Machines may come and go. An actor stands on its machine for good: where the machine is lost, the
item goes to another actor, and where one joins, an actor is put on it. So nothing waits for a
machine that may never come back, as a task that Ray itself tries again on its actor would. A lost
machine says nothing about the item, however often that happens; a process that ends on a machine
that stays may, so that is counted.
"""

import itertools
import os
import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, redirect_stdout, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rvm_client.batch.cluster_actor import Fault, Matter, Ready
from rvm_client.batch.cluster_machines import actor_options, actors_on, connected, machines
from rvm_client.batch.engine import Backlog, Watcher
from rvm_client.batch.items import Item, Outcome, ServedModel
from rvm_client.closing import Closing
from rvm_client.errors import (
    NotServedError,
    ServerError,
    ServerLostError,
    ServerStartError,
    ServerUnreachableError,
)
from rvm_client.options import is_url
from rvm_client.wire import ModelKind, Variant

_MOST_FAULTS_OF_ITEM = 3
_MOST_FAULTS_OF_ACTOR = 3
_LOOK_INTERVAL_S = 2.0
# So many actors are asked how far they are: a display shows no more, and there may be a thousand.
_MOST_ASKED = 8
_NO_MACHINE_TIMEOUT_S = 300.0
_STOP_TIMEOUT_S = 20.0


@dataclass(eq=False)
class _Actor:
    """An actor, as the driver knows it."""

    handle: Any
    node_id: str
    ready: Ready | None = None
    busy: int = 0
    faults: int = 0
    """One after the other, on a machine that stays."""


@dataclass(frozen=True)
class _Call:
    """What an actor was asked for: an item, or whether it is ready."""

    actor: _Actor
    item: Item | None = None
    number: int = 0


class Cluster(Closing):
    """See Engine. Sources and target must be there under the same names on all machines.

    Args:
        address: HOST:PORT of the cluster's head, or "auto" on a machine of it.
        target: where results go, as `rvm-batch` takes it.

    Raises:
        ConfigError: Ray is not installed.
        ServerUnreachableError: there is no cluster.
    """

    def __init__(self, address: str, target: str) -> None:
        self._stack = ExitStack()
        # Ray prints what happens to machines to stdout, which is for the summary.
        nowhere = self._stack.enter_context(Path(os.devnull).open("w"))  # noqa: SIM115
        self._stack.enter_context(redirect_stdout(nowhere))
        try:
            self._ray = connected(address)
        except BaseException:
            self._stack.close()
            raise
        self._target = target if is_url(target) else str(Path(target).resolve())
        self._actors: list[_Actor] = []
        self._calls: dict[Any, _Call] = {}
        self._numbers = itertools.count(1)
        self._asked: list[Any] = []
        """Calls that say how far items are."""
        self._given_up: Counter[str] = Counter()
        """How many actors of a machine were no use."""
        self._last_fault = ""
        self._looked_s = self._seen_s = time.monotonic() - _LOOK_INTERVAL_S
        self._told_s = self._looked_s
        self._versions: Mapping[Variant, str] | None = None

    def close(self) -> None:
        """Stop what is under way, end the servers, and leave the cluster."""
        stopping = [actor.handle.stop.remote() for actor in self._actors]
        with suppress(self._ray.exceptions.RayError):
            self._ray.wait(stopping, num_returns=len(stopping) or 1, timeout=_STOP_TIMEOUT_S)
        for actor in self._actors:
            self._ray.kill(actor.handle)
        self._actors.clear()
        self._ray.shutdown()
        self._stack.close()

    def model(self, variant: Variant) -> ServedModel:
        """See Engine: that of the first machine that is ready; others must have the same."""
        while self._versions is None:
            self._step()
        name = ModelKind(variant).name
        if variant not in self._versions:
            raise NotServedError(f"the machines of the cluster have no model {name}")
        return ServedModel(self._versions[variant], name)

    def check(self, items: Sequence[Item]) -> None:
        """See Engine: whether files are there, each machine finds out."""

    def outcomes(self, waiting: Backlog, watcher: Watcher) -> Generator[Outcome, None, None]:
        """See Engine."""
        crashes: dict[Item, list[str]] = {}
        """The machines on which an item's process or server ended."""
        going = 0
        while waiting or going:
            for actor in self._free(len(waiting)):
                item = waiting.popleft()
                watcher.started(item)
                self._ask_for(item, actor)
                going += 1
            found = self._step()
            self._tell(watcher)
            for call, answer in found:
                if call.item is None:
                    continue
                going -= 1
                if isinstance(answer, Outcome):
                    yield replace(answer, item=call.item)
                    continue
                places = crashes.setdefault(call.item, [])
                places.append(call.actor.node_id)
                if self._on_machines_that_stay(places) >= _MOST_FAULTS_OF_ITEM:
                    yield Outcome.failed(call.item, _ended(call.item, answer))
                else:
                    waiting.append(call.item)

    def _ask_for(self, item: Item, actor: _Actor) -> None:
        number = next(self._numbers)
        call = actor.handle.do.remote(_everywhere(item), number)
        self._calls[call] = _Call(actor, item, number)

    def _free(self, most: int) -> list[_Actor]:
        """So many actors at most that can take an item now, and are to be given one each."""
        chosen = _places(self._actors)[:most]
        for actor in chosen:
            actor.busy += 1
        return chosen

    def _step(self) -> list[tuple[_Call, Outcome | Fault | None]]:
        """Look after machines, and wait a moment for answers; those to items."""
        if time.monotonic() - self._looked_s >= _LOOK_INTERVAL_S:
            self._looked_s = time.monotonic()
            self._look_after_machines()
        if not self._calls:
            time.sleep(_LOOK_INTERVAL_S / 4)
            return []
        done, _ = self._ray.wait(list(self._calls), num_returns=1, timeout=_LOOK_INTERVAL_S)
        found = []
        for reference in done:
            call = self._calls.pop(reference)
            answer = self._answer(reference, call)
            if call.item is None:
                self._note_ready(call.actor, answer)
            else:
                call.actor.busy -= 1
                if isinstance(answer, Outcome):
                    call.actor.faults = 0
                else:
                    self._note_fault(call.actor, answer)
                found.append((call, answer))
        return found

    def _tell(self, watcher: Watcher) -> None:
        """Pass on how far the items are that began first, and ask again."""
        now_s = time.monotonic()
        if now_s - self._told_s < _LOOK_INTERVAL_S:
            return
        self._told_s = now_s
        count = len(self._asked)
        told = self._ray.wait(self._asked, num_returns=count, timeout=0)[0] if count else []
        items = {c.number: c.item for c in self._calls.values() if c.item is not None}
        for reference in told:
            # An actor that is gone has nothing to tell.
            with suppress(self._ray.exceptions.RayError):
                for number, progress in self._ray.get(reference).items():
                    if number in items:
                        done, expected = progress.frames_done, progress.frames_expected
                        watcher.moved(items[number], done, expected)
        busy = dict.fromkeys(c.actor for c in self._calls.values() if c.item is not None)
        self._asked = [actor.handle.progress.remote() for actor in [*busy][:_MOST_ASKED]]

    def _answer(self, reference: Any, call: _Call) -> Any:
        """What a call gave; a Fault where its process or machine is gone."""
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as exc:
            # A mistake of ours: whoever did it again would see it again.
            cause = exc.cause if isinstance(exc.cause, Exception) else exc
            fault = Fault(f"an internal error ({type(cause).__name__})")
            return fault if call.item is None else Outcome.failed(call.item, cause)
        except self._ray.exceptions.RayError as exc:
            return Fault(f"its process or its machine is gone ({type(exc).__name__})")

    def _note_ready(self, actor: _Actor, answer: Any) -> None:
        if not isinstance(answer, Ready):
            self._note_fault(actor, answer)
            return
        self._versions = self._versions or answer.versions
        if answer.versions == self._versions:
            actor.ready = answer
        else:
            self._last_fault = "it serves other models or versions than the first that was ready"
            self._give_up(actor)

    def _note_fault(self, actor: _Actor, answer: Any) -> None:
        """Ask an actor that failed whether it is ready again, unless it was asked too often."""
        self._last_fault = answer.sentence if isinstance(answer, Fault) else "nothing was said"
        actor.ready = None
        if actor not in self._actors:
            return
        actor.faults += 1
        if actor.node_id not in machines(self._ray):
            self._actors.remove(actor)
        elif actor.faults > _MOST_FAULTS_OF_ACTOR:
            self._give_up(actor)
        elif not any(c.actor is actor and c.item is None for c in self._calls.values()):
            self._ask_whether_ready(actor)

    def _give_up(self, actor: _Actor) -> None:
        self._actors.remove(actor)
        self._given_up[actor.node_id] += 1
        self._ray.kill(actor.handle)

    def _look_after_machines(self) -> None:
        """Put actors where there is room for them, and drop those whose machine is gone.

        Raises:
            ServerError: there is nowhere to go on.
        """
        there_are, now_s = machines(self._ray), time.monotonic()
        for actor in self._actors[:]:
            if actor.node_id not in there_are:
                self._actors.remove(actor)
        for node_id, resources in there_are.items():
            there = sum(actor.node_id == node_id for actor in self._actors)
            wanted = actors_on(resources, there_are) - self._given_up[node_id]
            for _ in range(wanted - there):
                self._actors.append(self._new_actor(node_id, resources))
        if self._actors:
            self._seen_s = now_s
        elif any(self._given_up[node_id] for node_id in there_are):
            raise ServerStartError(f"no machine of the cluster can matte: {self._last_fault}")
        elif now_s - self._seen_s > _NO_MACHINE_TIMEOUT_S:
            raise ServerUnreachableError(
                f"the cluster had no machine for {_NO_MACHINE_TIMEOUT_S:g} s; what is left is for "
                "the next run"
            )

    def _new_actor(self, node_id: str, resources: dict[str, float]) -> _Actor:
        options = actor_options(node_id, resources)
        actor = _Actor(self._ray.remote(**options)(Matter).remote(self._target), node_id)
        self._ask_whether_ready(actor)
        return actor

    def _ask_whether_ready(self, actor: _Actor) -> None:
        # Unlike an item, this waits until Ray has started the process again.
        ready = actor.handle.ready.options(max_task_retries=-1)
        self._calls[ready.remote()] = _Call(actor)

    def _on_machines_that_stay(self, places: Sequence[str]) -> int:
        there_are = machines(self._ray)
        return sum(node_id in there_are for node_id in places)


def _places(actors: Sequence[_Actor]) -> list[_Actor]:
    """Actors as often as they have room for an item, those that have least to do first."""
    places = [
        (busy, actor)
        for actor in actors
        if actor.ready is not None
        for busy in range(actor.busy, actor.ready.items_at_once)
    ]
    return [actor for _, actor in sorted(places, key=lambda place: place[0])]


def _everywhere(item: Item) -> Item:
    """The item with names that do not depend on the folder in which a process stands."""
    background = item.background
    return replace(
        item,
        source=_absolute(item.source),
        background=None if background is None else _absolute(background),
    )


def _absolute(source: str) -> str:
    return source if is_url(source) else str(Path(source).resolve())


def _ended(item: Item, answer: Outcome | Fault | None) -> ServerError:
    reason = answer.sentence if isinstance(answer, Fault) else "nothing was said"
    return ServerLostError(
        f"{item.name} was given up after {_MOST_FAULTS_OF_ITEM} tries on machines that are still "
        f"there: {reason}"
    )
