"""The simulation: machines take tasks from one queue, as those of `rvm-batch --cluster` do."""

import heapq
import itertools
import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import simpy

from bench.scale.costs import MB, Plan
from bench.scale.link import Link
from bench.scale.videos import Video
from bench.scale.work import Task, Work, works

_Steps = Generator[simpy.Event, Any, None]
# What others wait for comes first.
_URGENT, _USUAL = 0, 1


@dataclass
class Result:
    """What became of a plan."""

    seconds: float
    """From the first machine's start to the last result."""
    useful_s: float
    """A machine's time for each video once, unsplit."""
    machine_s: float
    """Of all machines, from their start to the end: what is paid for."""
    lost_s: float
    """Of the work that machines took with them."""
    lost_machines: int
    begun_again: int
    """Tasks."""
    segments: int
    redone: int
    """Segments that were matted again from the true state."""
    store_bytes: float
    driver_s: float
    """In which the process that hands out items was at work."""

    @property
    def efficiency(self) -> float:
        """Useful part of what is paid for, 0 to 1."""
        return self.useful_s / self.machine_s

    @property
    def store_mb_s(self) -> float:
        """On average."""
        return self.store_bytes / MB / self.seconds


@dataclass(eq=False)
class _Machine:
    """One that is there."""

    since_s: float
    matting: simpy.Resource
    running: dict[simpy.Process, None] = field(default_factory=dict)
    """In the order in which they were begun, as all that is drawn depends on the order."""
    is_ready: bool = False


class Simulation:
    """One plan with its videos."""

    def __init__(self, videos: Sequence[Video], plan: Plan) -> None:
        self._plan, self._costs = plan, plan.costs
        self._works = works(videos, plan)
        self._left = len(self._works)
        self._env = env = simpy.Environment()
        self._waiting: list[tuple[int, int, Task]] = []
        self._order = itertools.count()
        # Machines with room, by how much they are at; an idle one is asked first.
        self._free: list[dict[_Machine, None]] = [{} for _ in range(plan.costs.items_at_once)]
        self._machines: dict[_Machine, None] = {}
        self._driver = simpy.Resource(env)
        self._store = Link(env, self._costs.store_mb_s * MB, self._costs.machine_mb_s * MB)
        self._all_done = env.event()
        self._lost_machine_s = self._lost_s = self._driver_s = 0.0
        self._lost_machines = self._begun_again = 0

    def run(self) -> Result:
        """Until all is done."""
        for work in self._works:
            for task in work.segments:
                self._put(task, _USUAL)
        for number in range(self._plan.workers):
            self._env.process(self._place(number))
        self._env.run(until=self._all_done)
        now_s = self._env.now
        return Result(
            now_s,
            sum(map(self._useful_s, self._works)),
            self._lost_machine_s + sum(now_s - machine.since_s for machine in self._machines),
            self._lost_s,
            self._lost_machines,
            self._begun_again,
            sum(len(work.segments) for work in self._works),
            sum(work.redone for work in self._works),
            self._store.bytes,
            self._driver_s,
        )

    def _useful_s(self, work: Work) -> float:
        video, costs = work.video, self._costs
        frames = video.frames + costs.redundant_frames
        return costs.item_s + frames * costs.matte_ms[video.height_pixels] / 1000

    def _put(self, task: Task, priority: int) -> None:
        heapq.heappush(self._waiting, (priority, next(self._order), task))

    def _place(self, number: int) -> _Steps:
        """One machine after another in the place of those that are taken back."""
        spot = self._plan.spot
        # Of its own: how long machines live does not depend on what they do.
        chance = random.Random(f"{self._plan.seed} {number}")
        while True:
            machine = _Machine(self._env.now, simpy.Resource(self._env))
            self._machines[machine] = None
            self._env.process(self._started(machine))
            if spot is None:
                return
            yield self._env.timeout(chance.expovariate(1 / spot.mean_life_s))
            self._take_back(machine)
            yield self._env.timeout(spot.absence_s)

    def _started(self, machine: _Machine) -> _Steps:
        yield self._env.timeout(self._costs.start_s)
        machine.is_ready = machine in self._machines
        self._note_room(machine)
        self._hand_out()

    def _take_back(self, machine: _Machine) -> None:
        del self._machines[machine]
        machine.is_ready = False
        self._note_room(machine)
        self._lost_machine_s += self._env.now - machine.since_s
        self._lost_machines += 1
        for process in list(machine.running):
            process.interrupt()

    def _note_room(self, machine: _Machine) -> None:
        for machines in self._free:
            machines.pop(machine, None)
        if machine.is_ready and len(machine.running) < len(self._free):
            self._free[len(machine.running)][machine] = None

    def _hand_out(self) -> None:
        while self._waiting:
            machine = next((next(iter(machines)) for machines in self._free if machines), None)
            if machine is None:
                return
            priority, _, task = heapq.heappop(self._waiting)
            machine.running[self._env.process(self._tried(task, priority, machine))] = None
            self._note_room(machine)

    def _tried(self, task: Task, priority: int, machine: _Machine) -> _Steps:
        """One task on a machine, which may be taken back."""
        at_work: list[float] = []
        try:
            yield from self._done(task, machine, at_work)
        except simpy.Interrupt:
            self._lost_s += sum(self._env.now - since_s for since_s in at_work)
            self._begun_again += 1
            self._put(task, priority)
        else:
            self._note_end(task)
        assert self._env.active_process is not None
        del machine.running[self._env.active_process]
        self._note_room(machine)
        self._hand_out()

    def _done(self, task: Task, machine: _Machine, at_work: list[float]) -> _Steps:
        with self._driver.request() as turn:
            yield turn
            yield self._env.timeout(self._costs.driver_ms / 1000)
            self._driver_s += self._costs.driver_ms / 1000
        yield from self._store.transfer(task.reads)
        with machine.matting.request() as turn:
            yield turn
            at_work.append(self._env.now)
            yield self._env.timeout(task.seconds)
        yield from self._store.transfer(task.writes)

    def _note_end(self, task: Task) -> None:
        for following in task.work.after(task, self._costs):
            self._put(following, _URGENT)
        if task.work.is_done_with(task):
            self._left -= 1
            if not self._left:
                self._all_done.succeed()


def simulate(videos: Sequence[Video], plan: Plan) -> Result:
    """What a plan makes of videos."""
    return Simulation(videos, plan).run()
