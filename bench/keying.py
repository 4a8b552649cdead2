"""What a key costs: a person before a screen, with her true matte in place of the model's."""

from collections.abc import Callable
from functools import partial

from bench.settings import BenchSettings
from bench.timing import interleaved
from rvm_client.refine.key import keyed
from rvm_client.refine.screen import find_screen
from rvm_export.evaluate.synthetic import MadeSet, made_frames

# Of the made set: little loose hair, and much.
_CLIPS = {"turning": 0, "hair": 1}


def measure_keying(settings: BenchSettings) -> dict[str, dict[str, float]]:
    """Milliseconds a frame to look for the screen, and to key the matte."""
    calls: dict[str, Callable[[], None]] = {}
    for size, (height, width, _) in settings.sizes.items():
        made = MadeSet(frames=1, width_pixels=width, height_pixels=height, screen=True)
        for name, clip in _CLIPS.items():
            frame = made_frames(made, clip)[0]()
            screen = find_screen(frame.com, frame.pha)
            assert screen is not None
            look = partial(find_screen, frame.com, frame.pha)
            key = partial(keyed, frame.com, frame.fgr, frame.pha, screen)
            calls[f"{size}, {name}: look for the screen"] = _nothing_of(look)
            calls[f"{size}, {name}: key"] = _nothing_of(key)
    return interleaved(calls, dict.fromkeys(calls, 1), settings.repetitions)


def _nothing_of(call: Callable[[], object]) -> Callable[[], None]:
    def nothing() -> None:
        call()

    return nothing
