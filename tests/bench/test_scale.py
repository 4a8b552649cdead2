"""The simulation behind docs/scale.md: its tables, and what must hold of any."""

import math
from dataclasses import replace

import pytest
import simpy
from bench.report import table
from bench.scale.costs import GPU, MB, Plan, Splitting, Spot
from bench.scale.link import Link
from bench.scale.simulation import simulate
from bench.scale.tables import tables
from bench.scale.videos import archive, two_hours
from tests.docs.pages import DOCS

FEW = archive(200)
SPLIT = Splitting(longer_than_s=120, segment_s=30)
FOLDER = replace(GPU, sources_are_read_whole=False)
# A store and a driver that are never waited for.
FREE = replace(FOLDER, store_mb_s=1e9, machine_mb_s=1e9, driver_ms=0, start_s=0, join_ms=0)


@pytest.mark.parametrize("title", [title for title in tables(1) if title.startswith("Two hours")])
def test_the_page_has_what_the_script_prints(title: str) -> None:
    assert table(tables(1)[title]()) in (DOCS / "scale.md").read_text()


def test_a_seed_is_an_archive() -> None:
    assert archive(20) == archive(200)[:20]
    assert archive(20, seed=2) != archive(20)


def test_a_seed_is_a_run() -> None:
    plan = Plan(8, FREE, Spot(mean_life_s=900), SPLIT)
    assert simulate(FEW, plan) == simulate(FEW, plan) != simulate(FEW, replace(plan, seed=2))


def test_one_machine_is_at_work_all_the_time() -> None:
    found = simulate(FEW, Plan(1, FREE))
    assert found.efficiency == pytest.approx(1, abs=1e-3)
    assert found.seconds == pytest.approx(found.useful_s, rel=1e-3)


@pytest.mark.parametrize("splitting", [None, SPLIT], ids=["whole", "split"])
def test_more_machines_are_faster_and_waste_more(splitting: Splitting | None) -> None:
    found = [simulate(FEW, Plan(n, FREE, splitting=splitting)) for n in (1, 4, 16, 64)]
    seconds = [one.seconds for one in found]
    wasted = [one.machine_s - one.useful_s for one in found]
    assert seconds == sorted(seconds, reverse=True)
    assert wasted == sorted(wasted)


def test_without_splitting_nothing_is_faster_than_the_longest_video() -> None:
    longest_s = max(v.frames * GPU.matte_ms[v.height_pixels] / 1000 for v in FEW)
    whole = simulate(FEW, Plan(1000, FREE)).seconds
    assert longest_s < whole
    assert simulate(FEW, Plan(1000, FREE, splitting=SPLIT)).seconds < longest_s


def test_a_store_that_all_share_is_the_limit_where_it_is_slow() -> None:
    found = simulate(FEW, Plan(100, replace(FREE, store_mb_s=5.0)))
    assert found.store_mb_s == pytest.approx(5, rel=0.05)
    assert found.seconds > found.store_bytes / (5 * MB) * 0.99


def test_lost_machines_cost_what_they_were_at_and_all_gets_done() -> None:
    calm = simulate(FEW, Plan(4, FREE))
    found = simulate(FEW, Plan(4, FREE, Spot(mean_life_s=1200, absence_s=0)))
    assert found.lost_machines > 3
    # Two items are on a machine, of which one is matted and the other waits.
    assert found.begun_again <= 2 * found.lost_machines
    assert 0 < found.lost_s < found.machine_s - found.useful_s
    assert found.seconds > calm.seconds


def test_joints_at_cuts_are_never_matted_again() -> None:
    failing = replace(SPLIT, failing=1.0)
    assert simulate([two_hours(2.0)], Plan(8, FREE, splitting=failing)).redone == 0
    one_take = simulate([two_hours(math.inf)], Plan(8, FREE, splitting=failing))
    assert one_take.redone == one_take.segments - 1


def test_a_chain_of_failures_is_as_slow_as_one_machine() -> None:
    video, alone = two_hours(math.inf), simulate([two_hours(math.inf)], Plan(1, FREE))
    all_fail = simulate([video], Plan(100, FREE, splitting=replace(SPLIT, failing=1.0)))
    assert all_fail.seconds > alone.seconds
    half = replace(SPLIT, failing=0.5)
    in_order = simulate([video], Plan(100, FREE, splitting=replace(half, in_order=True)))
    ahead = simulate([video], Plan(100, FREE, splitting=half))
    assert ahead.redone == in_order.redone
    assert ahead.seconds < in_order.seconds / 2


def test_a_link_is_shared_equally() -> None:
    env = simpy.Environment()
    link, ends = Link(env, total=100.0, each=60.0), {}

    def take(name: str, at_s: float, size: float) -> "simpy.events.ProcessGenerator":
        yield env.timeout(at_s)
        yield from link.transfer(size)
        ends[name] = env.now

    # Alone at 60 a second, then two at 50 each, then alone again.
    env.process(take("first", 0, 160))
    env.process(take("second", 1, 160))
    env.run()
    assert ends == {"first": pytest.approx(3), "second": pytest.approx(4)}
    assert link.bytes == 320


def test_a_transfer_that_is_broken_off_leaves_its_part_to_others() -> None:
    env = simpy.Environment()
    link = Link(env, total=100.0, each=100.0)

    def take(size: float) -> "simpy.events.ProcessGenerator":
        try:
            yield from link.transfer(size)
        except simpy.Interrupt:
            return

    broken, other = env.process(take(1000)), env.process(take(100))
    env.run(until=1)
    broken.interrupt()
    env.run(until=other)
    assert env.now == pytest.approx(1.5)
