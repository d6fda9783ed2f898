"""What open-source Kubeflow Pipelines 2.x accepts of pods: part of the lint in kfp_rules.py."""

import re

# The fields of KubernetesExecutorConfig that servers from 2.3 on know, and that their drivers read;
# nodeAffinity is read from 2.14 on. Not here: podAffinity, which no driver up to 2.17 reads.
_SELECTOR = {"key": None, "operator": None, "values": None}
_POD_FIELDS = {
    "secretAsVolume": {"secretName": None, "mountPath": None, "optional": None},
    "secretAsEnv": {"secretName": None, "keyToEnv": {"secretKey": None, "envVar": None}},
    "pvcMount": {"constant": None, "mountPath": None},
    "nodeSelector": {"labels": dict},
    "podMetadata": {"labels": dict, "annotations": dict},
    "imagePullSecret": {"secretName": None},
    "imagePullPolicy": None,
    "activeDeadlineSeconds": None,
    "tolerations": {"key": None, "operator": None, "value": None, "effect": None},
    "nodeAffinity": {"matchExpressions": _SELECTOR, "matchFields": _SELECTOR, "weight": None},
}


def platform_fields_are_known_to_all_servers(documents):
    """Of a field that it does not know a server drops the whole document, with a line in its log.

    kubernetes_platform/proto/kubernetes_executor_config.proto and extendPodSpecPatch,
    backend/src/v2/driver/k8s.go, at the tags 2.3.0 to 2.17.0
    """

    def unknown(value, known):
        for item in value if isinstance(value, list) else [value]:
            if known is None or known is dict:
                wrong = not isinstance(item, dict) if known is dict else isinstance(item, dict)
                yield from ["a value of another type"] * wrong
                continue
            for key, inner in item.items():
                if key in known:
                    yield from unknown(inner, known[key])
                else:
                    yield key

    return [
        f"{name}: {field}"
        for name, config in pods_of(documents).items()
        for field in unknown(config, _POD_FIELDS)
    ]


def volumes_have_names_and_paths_of_their_own(documents):
    """A volume has the name of its claim or Secret; a pod with two of a name is refused.

    extendPodSpecPatch and makeVolumeMountPatch, backend/src/v2/driver/k8s.go;
    addContainerExecutorTemplate, backend/src/v2/compiler/argocompiler/container.go
    """
    launchers = re.compile(r"kfp-launcher|ca-bundle|(gcs|s3|minio|dot-[a-z]+)-scratch")
    found = []
    for name, config in pods_of(documents).items():
        mounts = [*config.get("pvcMount", []), *config.get("secretAsVolume", [])]
        names = [mount.get("constant", mount.get("secretName", "")) for mount in mounts]
        paths = [mount.get("mountPath") for mount in mounts]
        fit = all(re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", one) for one in names)
        own = len(set(names)) == len(names) and len(set(paths)) == len(paths)
        if not fit or not own or any(map(launchers.fullmatch, names)):
            found.append(name)
    return found


def affinities_are_of_the_form_of_kubernetes(documents):
    """In and NotIn have values, the others none; a weight is from 1 to 100.

    NodeSelectorRequirement and PreferredSchedulingTerm of Kubernetes' core/v1, for which the driver
    takes them: extendPodSpecPatch, backend/src/v2/driver/k8s.go
    """
    found = []
    for name, config in pods_of(documents).items():
        for term in config.get("nodeAffinity", []):
            expressions = term.get("matchExpressions", [])
            fit = all(
                one["operator"]
                in ({"In", "NotIn"} if one.get("values") else {"Exists", "DoesNotExist"})
                for one in expressions
            )
            if not expressions or not fit or not 1 <= term.get("weight", 1) <= 100:
                found.append(name)
    return found


def requests_are_not_above_limits(documents):
    """Kubernetes refuses such a pod; initPodSpecPatch, backend/src/v2/driver/driver.go."""
    return [
        name
        for name, executor in executors_of(documents).items()
        for kind in ("cpu", "memory")
        if (resources := executor.get("container", {}).get("resources", {}))
        and resources.get(f"{kind}Request", 0) > resources.get(f"{kind}Limit", float("inf"))
    ]


def retries_have_an_end_after_the_step(documents):
    """Argo counts it from the first start, and takes a missing one for 0.

    getTaskRetryParametersWithValues, backend/src/v2/compiler/argocompiler/container.go, since 2.4.1
    """
    return [
        name
        for name, task in tasks_of(documents).items()
        if "retryPolicy" in task
        and int(task["retryPolicy"].get("backoffMaxDuration", "0s").rstrip("s")) < 86_400
    ]


POD_RULES = [
    platform_fields_are_known_to_all_servers,
    volumes_have_names_and_paths_of_their_own,
    affinities_are_of_the_form_of_kubernetes,
    requests_are_not_above_limits,
    retries_have_an_end_after_the_step,
]


def tasks_of(documents):
    """The tasks of the DAG."""
    return documents[0].get("root", {}).get("dag", {}).get("tasks", {})


def executors_of(documents):
    """What the tasks' components are carried out by."""
    return documents[0].get("deploymentSpec", {}).get("executors", {})


def pods_of(documents):
    """The KubernetesExecutorConfig of each executor."""
    kubernetes = [document["platforms"]["kubernetes"] for document in documents[1:]]
    return {
        name: config
        for platform in kubernetes
        for name, config in platform["deploymentSpec"]["executors"].items()
    }
