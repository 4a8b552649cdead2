"""One long video in segments that are made side by side: where it is cut, and what fits."""

from rvm_client.split.chain import Chain, Task, are_alike
from rvm_client.split.plan import (
    AUTO_SEGMENT_SECONDS,
    Joint,
    SplitPlan,
    plan_split,
    why_whole,
)

__all__ = [
    "AUTO_SEGMENT_SECONDS",
    "Chain",
    "Joint",
    "SplitPlan",
    "Task",
    "are_alike",
    "plan_split",
    "why_whole",
]
