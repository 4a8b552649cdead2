"""The only composer of the stages, from file to file."""

from rvm_client.pipeline.join import join_segments
from rvm_client.pipeline.matte import jobs_at_once, matte_video
from rvm_client.pipeline.proxy import make_proxy
from rvm_client.pipeline.results import MatteProgress, MatteResult, StageSeconds
from rvm_client.pipeline.run import QUEUE_DEPTH
from rvm_client.pipeline.segment import (
    COMPARED_FRAMES,
    Alphas,
    SegmentMade,
    edges_path,
    lead_frames,
    load_segment,
    matte_segment,
)
from rvm_client.pipeline.transcode import transcode

__all__ = [
    "COMPARED_FRAMES",
    "QUEUE_DEPTH",
    "Alphas",
    "MatteProgress",
    "MatteResult",
    "SegmentMade",
    "StageSeconds",
    "edges_path",
    "jobs_at_once",
    "join_segments",
    "lead_frames",
    "load_segment",
    "make_proxy",
    "matte_segment",
    "matte_video",
    "transcode",
]
