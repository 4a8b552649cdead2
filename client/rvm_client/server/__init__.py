"""A Triton server on this machine: found, started, watched, ended."""

from rvm_client.server.access import LocalAccess, local_access, token_header
from rvm_client.server.bucket_copy import BucketSource, bring_up_to_date
from rvm_client.server.environment import SERVER_TUNING
from rvm_client.server.guard import SEGMENT_FOLDER
from rvm_client.server.options import ServerOptions, active_version
from rvm_client.server.server import TritonServer
from rvm_client.server.starting import StartingServer
from rvm_client.server.supervisor import Probe, Supervisor
from rvm_client.server.supply import ServerAddress, ServerSupply

__all__ = [
    "SEGMENT_FOLDER",
    "SERVER_TUNING",
    "BucketSource",
    "LocalAccess",
    "Probe",
    "ServerAddress",
    "ServerOptions",
    "ServerSupply",
    "StartingServer",
    "Supervisor",
    "TritonServer",
    "active_version",
    "bring_up_to_date",
    "local_access",
    "token_header",
]
