"""What refinements tell of a video."""

from dataclasses import dataclass


@dataclass
class Findings:
    """What was found on the way; counts grow as mattes are taken."""

    keyed_frames: int = 0
    """Frames with a screen behind the person, whose mattes were keyed."""
