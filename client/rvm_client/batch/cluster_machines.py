"""What Ray says of a cluster's machines, and is told of the actors on them."""

import importlib
from typing import Any

from rvm_client.errors import ConfigError, ServerUnreachableError, printable
from rvm_client.signals import stop_on_signals

# Ray starts an actor's process again as often as it ends: of what ends it too often, we keep count.
_MAX_RESTARTS = -1
# An item whose actor is gone goes to any actor that is there; Ray would keep it for the same one.
_MAX_TASK_RETRIES = 0
# What Ray's scheduler sets aside for an actor: its client, and the embedded server.
_ACTOR_MEMORY_BYTES = 4 << 30
# Items side by side, and beside them the call that stops them.
_MAX_CONCURRENCY = 32


def actor_options(node_id: str, resources: dict[str, float]) -> dict[str, Any]:
    """What Ray is told of an actor on a machine that has these resources."""
    strategies = importlib.import_module("ray.util.scheduling_strategies")
    on_gpu = resources.get("GPU", 0) >= 1
    return {
        "num_gpus": 1 if on_gpu else 0,
        # Without a GPU the machine's processor is what an actor is for.
        "num_cpus": 1 if on_gpu else resources["CPU"],
        "memory": min(_ACTOR_MEMORY_BYTES, int(resources.get("memory", 0))),
        "max_restarts": _MAX_RESTARTS,
        "max_task_retries": _MAX_TASK_RETRIES,
        "max_concurrency": _MAX_CONCURRENCY,
        "scheduling_strategy": strategies.NodeAffinitySchedulingStrategy(node_id, soft=False),
        # Else Ray kills the server's guard, which could then end nothing of the server's.
        "runtime_env": {"env_vars": {"RAY_kill_child_processes_on_worker_exit": "false"}},
    }


def machines(ray: Any) -> dict[str, dict[str, float]]:
    """The resources of the machines that are there, by their ids."""
    return {str(node["NodeID"]): dict(node["Resources"]) for node in ray.nodes() if node["Alive"]}


def connected(address: str) -> Any:
    """The package `ray`, as part of the cluster.

    Raises:
        ConfigError: Ray is not installed.
        ServerUnreachableError: there is no cluster.
    """
    try:
        ray = importlib.import_module("ray")
    except ImportError as exc:
        raise ConfigError("ray is not installed: pip install 'rvm-triton[cluster]'") from exc
    try:
        ray.init(
            address=address, logging_level="error", log_to_driver=False, configure_logging=False
        )
    except (ConnectionError, RuntimeError, ValueError) as exc:
        first = printable(str(exc).partition("\n")[0])
        raise ServerUnreachableError(f"no Ray cluster answers at {address}: {first}") from exc
    # Ray has put handlers of its own in their place.
    stop_on_signals()
    return ray


def actors_on(resources: dict[str, float], machines: dict[str, dict[str, float]]) -> int:
    """One for each GPU; where no machine has any, one for each machine with a processor."""
    if any(other.get("GPU", 0) >= 1 for other in machines.values()):
        return int(resources.get("GPU", 0))
    return 1 if resources.get("CPU", 0) > 0 else 0
