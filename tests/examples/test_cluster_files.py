"""The files of examples/cluster, as far as they can be checked without a cluster.

Of KubeRay no package has the schemas. So its own fields are held against the lists below, which are
those of its API reference for `ray.io/v1`; all that is Kubernetes' own is held against its schemas.
"""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import start

from rvm_client.batch.cluster_machines import actors_on
from rvm_client.cli.batch import batch
from rvm_client.config import Settings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "cluster"
KUBERNETES = "1.32"
CLUSTER_FIELDS = {
    "rayVersion", "authOptions", "enableInTreeAutoscaling", "headGroupSpec", "workerGroupSpecs",
}  # fmt: skip
HEAD_FIELDS = {"rayStartParams", "template"}
GROUP_FIELDS = {
    "groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template",
}  # fmt: skip
JOB_FIELDS = {
    "entrypoint", "backoffLimit", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished",
    "submitterPodTemplate", "rayClusterSpec",
}  # fmt: skip


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


RAY = documents("ray.yaml")[0]
CLUSTER, CLUSTER_POLICY = documents("kuberay-cluster.yaml")
JOB, JOB_POLICY = documents("kuberay-job.yaml")
GROUPS = [CLUSTER["spec"]["headGroupSpec"], *CLUSTER["spec"]["workerGroupSpecs"]]
PODS = [*(group["template"] for group in GROUPS), JOB["spec"]["submitterPodTemplate"]]
FLAGS = {flag for parameter in start.params for flag in parameter.opts}


def validated(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, KUBERNETES, strict=True)


def own_settings() -> set[str]:
    return {str(field.validation_alias) for field in Settings.model_fields.values()}


# --- ray up


def test_ray_takes_the_cluster() -> None:
    schema = json.loads((Path(ray.__file__).parent / "autoscaler/ray-schema.json").read_text())
    jsonschema.validate(RAY, schema)
    prepared = prepare_config(RAY)
    validate_config(prepared)
    (kind,) = prepared["available_node_types"].values()
    # The head and its workers; no machine more is asked for.
    assert kind["min_workers"] == kind["max_workers"] == len(RAY["provider"]["worker_ips"])


@pytest.mark.parametrize("commands", ["head_start_ray_commands", "worker_start_ray_commands"])
def test_ray_is_started_with_flags_that_it_has(commands: str) -> None:
    stop, begin = RAY[commands]
    assert stop == "/opt/rvm/venv/bin/ray stop"
    words = shlex.split(begin)
    given = {word.partition("=")[0] for word in words[words.index("start") :] if "--" in word}
    assert given <= FLAGS
    assert ("--head" in given) == (commands == "head_start_ray_commands")


def test_each_gpu_of_a_machine_has_ports_of_its_own() -> None:
    options = RAY["docker"]["run_options"]
    given = dict(re.findall(r"--env (\w+)=(\S+)", "\n".join(options)))
    assert given.keys() <= own_settings()
    ports = dict.fromkeys(("RVM_GRPC_PORT", "RVM_HTTP_PORT", "RVM_METRICS_PORT"), "0")
    assert given == ports
    (worker,) = GROUPS[1]["template"]["spec"]["containers"]
    assert {entry["name"]: entry["value"] for entry in worker["env"]} == ports


# --- KubeRay


def test_fields_are_kuberay_s() -> None:
    assert (CLUSTER["apiVersion"], CLUSTER["kind"]) == ("ray.io/v1", "RayCluster")
    assert (JOB["apiVersion"], JOB["kind"]) == ("ray.io/v1", "RayJob")
    assert JOB["spec"].keys() == JOB_FIELDS
    for spec in (CLUSTER["spec"], JOB["spec"]["rayClusterSpec"]):
        assert spec.keys() == CLUSTER_FIELDS
        assert spec["headGroupSpec"].keys() == HEAD_FIELDS
        for group in spec["workerGroupSpecs"]:
            assert group.keys() == GROUP_FIELDS


def test_the_job_s_cluster_is_the_other_file_s() -> None:
    assert JOB["spec"]["rayClusterSpec"] == CLUSTER["spec"]
    assert JOB_POLICY == CLUSTER_POLICY
    for document in (CLUSTER, JOB):
        assert document["metadata"]["annotations"] == {"ray.io/overwrite-container-cmd": "true"}


@pytest.mark.parametrize("pod", PODS, ids=["head", "worker", "submitter"])
def test_pods_are_what_kubernetes_takes(pod: dict[str, Any]) -> None:
    named = {"apiVersion": "v1", "kind": "Pod", **pod}
    validated({**named, "metadata": {**pod["metadata"], "name": "x"}})
    for container in pod["spec"]["containers"]:
        for kind, given in container["resources"]["requests"].items():
            assert kind in container["resources"]["limits"], given


def test_what_is_no_field_of_a_pod_is_found() -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}
    with pytest.raises(kubernetes_validate.ValidationError):
        validated({**pod, "spec": {"containers": [{"name": "x", "imagee": "y"}]}})


def test_ray_s_ports_are_closed_to_others() -> None:
    validated(CLUSTER_POLICY)
    labels = CLUSTER_POLICY["spec"]["podSelector"]["matchLabels"]
    for pod in PODS:
        assert labels.items() <= pod["metadata"]["labels"].items()
    assert CLUSTER["spec"]["authOptions"] == {"mode": "token"}


@pytest.mark.parametrize("group", GROUPS, ids=["head", "worker"])
def test_pods_start_ray_through_the_image_s_entrypoint(group: dict[str, Any]) -> None:
    assert {f"--{name}" for name in group["rayStartParams"]} <= FLAGS
    (container,) = group["template"]["spec"]["containers"]
    assert container["command"][0] == "/opt/nvidia/nvidia_entrypoint.sh"
    assert container["args"][0].endswith("$KUBERAY_GEN_RAY_START_CMD")
    security = group["template"]["spec"]["securityContext"]
    (user,) = re.findall(r"^USER (\d+):\d+$", (ROOT / "Dockerfile").read_text(), re.M)
    assert security["runAsUser"] == int(user)


def test_nothing_is_matted_on_the_head() -> None:
    processors = float(GROUPS[0]["rayStartParams"]["num-cpus"])
    assert actors_on({"CPU": processors}, {"head": {"CPU": processors}}) == 0
    (worker,) = GROUPS[1]["template"]["spec"]["containers"]
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == "1"


# --- all of them


def batch_commands() -> Iterator[list[str]]:
    yield shlex.split(JOB["spec"]["entrypoint"])
    for path in FOLDER.glob("*.yaml"):
        for line in re.findall(r"rvm-batch /[^'\n]+", path.read_text()):
            yield shlex.split(line)


@pytest.mark.parametrize("command", [*batch_commands()], ids=" ".join)
def test_the_batches_are_commands(command: list[str]) -> None:
    batch.make_context(command[0], command[1:])


def test_ray_s_version_is_one() -> None:
    texts = [path.read_text() for path in (*FOLDER.glob("*.yaml"), ROOT / "docs" / "scale.md")]
    named = {v for text in texts for v in re.findall(r"(?:RAY=|rayVersion: )([\d.]+\d)", text)}
    assert len(named) == 1
    assert named == {CLUSTER["spec"]["rayVersion"]}
    (installed,) = re.findall(r'"ray>=([\d.]+),<(\d+)"', (ROOT / "pyproject.toml").read_text())
    least, below = ([int(part) for part in bound.split(".")] for bound in installed)
    assert least <= [int(part) for part in named.pop().split(".")] < below
