"""Many videos: from what was named to a report of what became of each."""

from rvm_client.batch.cluster import Cluster
from rvm_client.batch.engine import Engine, Watcher
from rvm_client.batch.here import Here
from rvm_client.batch.items import Item, Outcome, ServedModel, Status
from rvm_client.batch.names import named
from rvm_client.batch.report import Report
from rvm_client.batch.run import Display, Summary, run_batch
from rvm_client.batch.runpod import RunPod
from rvm_client.batch.runpod_api import RunPodApi
from rvm_client.batch.sources import Listed, find_sources
from rvm_client.batch.splitting import Splitting, Wish
from rvm_client.batch.targets import Target, open_target

__all__ = [
    "Cluster",
    "Display",
    "Engine",
    "Here",
    "Item",
    "Listed",
    "Outcome",
    "Report",
    "RunPod",
    "RunPodApi",
    "ServedModel",
    "Splitting",
    "Status",
    "Summary",
    "Target",
    "Watcher",
    "Wish",
    "find_sources",
    "named",
    "open_target",
    "run_batch",
]
