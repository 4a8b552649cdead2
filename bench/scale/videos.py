"""Videos to matte, drawn from a seed."""

import math
import random
from dataclasses import dataclass

from bench.scale.costs import MB

# Height of the picture -> share of the videos, and megabits a second of the source; assumed.
SIZES = {720: (0.25, 4.0), 1080: (0.60, 8.0), 2160: (0.15, 35.0)}
# Frames a second -> share; assumed.
RATES = {25: 0.3, 30: 0.5, 60: 0.2}
# Lengths are log-normal; assumed. Their mean is 3.5 minutes, and one in a hundred has over half
# an hour.
MEDIAN_S, SIGMA = 90.0, 1.3
SHORTEST_S, LONGEST_S = 3.0, 3 * 3600.0
# Bit rates vary by content.
RATE_SIGMA = 0.4


@dataclass(frozen=True)
class Video:
    """One source."""

    seconds: float
    height_pixels: int
    frames_per_second: int
    bytes: float
    cuts_s: tuple[float, ...] = ()
    """Where scenes begin, but for the first."""

    @property
    def frames(self) -> int:
        """All of them."""
        return round(self.seconds * self.frames_per_second)

    def output_bytes(self, of_1080p: int) -> float:
        """The size of the result, where a frame of 1080p has so many bytes."""
        return self.frames * of_1080p * (self.height_pixels / 1080) ** 2


def archive(count: int, seed: int = 1) -> list[Video]:
    """So many videos of all lengths; the first of a larger archive are those of a smaller one."""
    chance = random.Random(seed)
    return [_drawn(chance) for _ in range(count)]


def two_hours(cut_every_s: float, seed: int = 1) -> Video:
    """Two hours of 1080p at 30 frames a second, with a cut so often; infinite: one take."""
    chance, seconds, cuts = random.Random(seed), 2 * 3600.0, []
    at_s = 0.0
    while cut_every_s < math.inf and (at_s := at_s + chance.expovariate(1 / cut_every_s)) < seconds:
        cuts.append(at_s)
    return Video(seconds, 1080, 30, seconds * SIZES[1080][1] / 8 * MB, tuple(cuts))


def _drawn(chance: random.Random) -> Video:
    seconds = min(max(chance.lognormvariate(math.log(MEDIAN_S), SIGMA), SHORTEST_S), LONGEST_S)
    (height,) = chance.choices(list(SIZES), [share for share, _ in SIZES.values()])
    (rate,) = chance.choices(list(RATES), list(RATES.values()))
    megabits = SIZES[height][1] * chance.lognormvariate(0, RATE_SIGMA)
    return Video(seconds, height, rate, seconds * megabits / 8 * MB)
