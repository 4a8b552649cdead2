"""What the simulation is fed with: times that were measured, and what is assumed."""

from dataclasses import dataclass

MB = 1_000_000


@dataclass(frozen=True)
class Costs:
    """What work costs on one machine, and what all machines share.

    Where a line says measured, docs/scale.md has the command that measured it.
    """

    matte_ms: dict[int, float]
    """From file to file, the slowest stage included, a frame, by the height of the picture."""
    item_s: float
    """Of each video or segment: opened, first frames, closed; nothing is matted meanwhile."""
    start_s: float
    """From a machine that is there to a server that is ready."""
    redundant_frames: int = 12
    """Of each video's beginning, matted twice: its warm start."""
    output_bytes: int = 13_200
    """Of a frame of 1080p, measured: VP9 with alpha. Others have them by their area."""
    join_ms: float = 0.2
    """Of each frame: its packet is read, renumbered and written into one file; measured."""
    driver_ms: float = 5.0
    """Of each item, in the one process that hands them out: Ray's calls, the report; measured."""
    machine_mb_s: float = 120.0
    """Of one transfer; assumed: a network card of 1 Gbit/s."""
    store_mb_s: float = 1200.0
    """Of all transfers; assumed: a store at 10 Gbit/s."""
    items_at_once: int = 2
    """On one machine: while one is matted, the other's files travel."""
    sources_are_read_whole: bool = True
    """A segment's machine fetches the whole source (a URL); else only what it needs (a folder)."""


@dataclass(frozen=True)
class Spot:
    """Machines that their owner takes back."""

    mean_life_s: float
    """Exponential, and so without memory: a machine is no safer for having lived long."""
    absence_s: float = 120.0
    """Until another comes in its place; assumed."""


@dataclass(frozen=True)
class Splitting:
    """How a video becomes segments."""

    longer_than_s: float = 120.0
    """Shorter ones stay whole."""
    segment_s: float = 60.0
    """At least."""
    most: int = 10_000
    """Segments of a video."""
    warm_up_frames: int = 96
    """Before a segment that begins inside a scene."""
    failing: float = 0.0
    """Of the joints inside scenes, so many must be matted again from the true state."""
    in_order: bool = False
    """Such a segment waits for all before it. In `rvm-batch` it waits for one only."""


@dataclass(frozen=True)
class Plan:
    """One run of the simulation."""

    workers: int
    costs: Costs
    spot: Spot | None = None
    splitting: Splitting | None = None
    longest_first: bool = False
    seed: int = 1


# Two cores without a GPU, `alpha`: docs/lab/performance.md. 2160p was not measured: the network's
# 84 ms, at its smaller ratio, and four times what 1080p needs beside them.
CPU = Costs(matte_ms={720: 118.9, 1080: 148.8, 2160: 343.0}, item_s=0.05, start_s=13.0)
# Nothing of this was measured: a GPU that mattes 100 frames of 1080p a second, with enough cores
# to encode them.
GPU = Costs(matte_ms={720: 6.0, 1080: 10.0, 2160: 30.0}, item_s=1.0, start_s=60.0)
