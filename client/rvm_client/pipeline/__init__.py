"""The only composer of the stages, from file to file."""

from rvm_client.pipeline.matte import jobs_at_once, matte_video
from rvm_client.pipeline.results import MatteProgress, MatteResult, StageSeconds
from rvm_client.pipeline.run import QUEUE_DEPTH
from rvm_client.pipeline.transcode import transcode

__all__ = [
    "QUEUE_DEPTH",
    "MatteProgress",
    "MatteResult",
    "StageSeconds",
    "jobs_at_once",
    "matte_video",
    "transcode",
]
