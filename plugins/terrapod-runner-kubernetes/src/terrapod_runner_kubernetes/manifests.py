"""The objects of one phase: a Job, and the Secret with its order. Nothing secret is in the Job."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from terrapod_core.plugin import PhaseSpec
from terrapod_runner_kubernetes.settings import OWN_PREFIX, KubernetesRunnerSettings

RUN: Final = f"{OWN_PREFIX}run"
PHASE: Final = f"{OWN_PREFIX}phase"
EPOCH: Final = f"{OWN_PREFIX}epoch"
INSTANCE: Final = "app.kubernetes.io/instance"

CONTAINER: Final = "runner"
ORDER: Final = "order.json"
SECRET_DIR: Final = "/run/terrapod/secret"  # noqa: S105 - where it is mounted
ORDER_DIR: Final = "/run/terrapod/order"
WORK_ROOT: Final = "/terrapod"
WORK_DIR: Final = f"{WORK_ROOT}/run"
"""The same for a plan and its apply, which terraform writes into saved plans."""

TAKE: Final = f"cp {SECRET_DIR}/{ORDER} {ORDER_DIR}/{ORDER}"
START: Final = f"exec 0<{ORDER_DIR}/{ORDER} && rm -f {ORDER_DIR}/{ORDER} && exec python -m terrapod_core.runner"
"""The order is opened and unlinked before anything else starts, and terraform is never given the descriptor: the file of a
mounted Secret would stay, and terraform could read it. So only the first container sees the Secret.
"""

STAYS: Final = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"}
"""Nodes are not taken away below a plan or an apply to save money."""

_OWN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,61}[A-Za-z0-9]")


def ours(settings: KubernetesRunnerSettings) -> dict[str, str]:
    """The labels that all objects of this server carry."""
    return {"app.kubernetes.io/name": "terrapod-runner", "app.kubernetes.io/managed-by": "terrapod", INSTANCE: settings.instance}


def labels_of(run_id: str, phase_id: str, epoch: int) -> dict[str, str]:
    """The labels that tell one launch; `ValueError` for ids that are none."""
    for each in (run_id, phase_id):
        if not _OWN_ID.fullmatch(each):
            raise ValueError(f"{each!r} is no id of a run or phase")
    return {RUN: run_id, PHASE: phase_id, EPOCH: str(epoch)}


def name_of(instance: str, phase_id: str, epoch: int) -> str:
    """The name of a launch's objects. Names have no capitals, ids have: a few hexadecimal digits tell them apart."""
    digest = hashlib.sha256(f"{instance}/{phase_id}/{epoch}".encode()).hexdigest()[:8]
    return f"terrapod-{phase_id.lower()[:36].rstrip('-')}-{epoch}-{digest}"


def order(spec: PhaseSpec, settings: KubernetesRunnerSettings) -> str:
    """What the runner program reads from its standard input."""
    members = {
        "url": spec.url,
        "token": spec.token,
        "phase-id": spec.phase_id,
        "run-id": spec.run_id,
        "certificate": spec.certificate,
        "work-dir": WORK_DIR,
        "engines-dir": settings.engines_dir,
        "state-transport": settings.state_transport,
        "sandbox": None,
    }
    return json.dumps(members)


def secret(spec: PhaseSpec, settings: KubernetesRunnerSettings, job: Mapping[str, str]) -> dict[str, Any]:
    """The Secret with the order; `job` is name and uid of the Job that it goes with."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", **job, "controller": False, "blockOwnerDeletion": False}
    labels = {**ours(settings), **labels_of(spec.run_id, spec.phase_id, spec.epoch)}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": job["name"], "labels": labels, "ownerReferences": [owner]},
        "type": "Opaque",
        "immutable": True,
        "stringData": {ORDER: order(spec, settings)},
    }


def job(spec: PhaseSpec, settings: KubernetesRunnerSettings) -> dict[str, Any]:
    """The Job. It is made suspended: its pod may start once the Secret is there."""
    own = {**ours(settings), **labels_of(spec.run_id, spec.phase_id, spec.epoch)}
    labels = {**settings.pairs("labels"), **own}
    told = {f"{OWN_PREFIX}organization": spec.organization, f"{OWN_PREFIX}workspace": spec.workspace}
    name = name_of(settings.instance, spec.phase_id, spec.epoch)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels, "annotations": told},
        "spec": {
            "suspend": True,
            "parallelism": 1,
            "completions": 1,
            # Never a second pod of one launch: it would carry out the same plan or apply once more.
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {"action": "FailJob", "onExitCodes": {"containerName": CONTAINER, "operator": "NotIn", "values": [0]}},
                ]
            },
            "activeDeadlineSeconds": settings.most_seconds,
            "ttlSecondsAfterFinished": settings.keep_seconds,
            "template": {
                "metadata": {"labels": labels, "annotations": {**STAYS, **settings.pairs("annotations"), **told}},
                "spec": _pod(name, spec, settings),
            },
        },
    }


def _pod(name: str, spec: PhaseSpec, settings: KubernetesRunnerSettings) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": settings.stop_seconds,
        # A service account and its token only where the pool asks for one; nothing about other services in the environment.
        "automountServiceAccountToken": spec.service_account is not None,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": settings.user,
            "runAsGroup": settings.user,
            "fsGroup": settings.user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [_container("order", TAKE, settings, _small(), [("secret", SECRET_DIR, True), ("order", ORDER_DIR, False)])],
        "containers": [
            _container(
                CONTAINER,
                START,
                settings,
                _resources(spec, settings),
                [("order", ORDER_DIR, False), ("work", WORK_ROOT, False), ("tmp", "/tmp", False)],  # noqa: S108 - of the container
            )
        ],
        "volumes": [
            {"name": "secret", "secret": {"secretName": name, "defaultMode": 0o440}},
            {"name": "order", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "work", "emptyDir": {"sizeLimit": settings.disk}},
            {"name": "tmp", "emptyDir": {"sizeLimit": settings.disk}},
        ],
    }
    optional = {
        "serviceAccountName": spec.service_account,
        "nodeSelector": settings.pairs("node_selector"),
        "tolerations": settings.tolerated(),
        "imagePullSecrets": [{"name": each} for each in settings.image_pull_secrets],
        "priorityClassName": settings.priority_class,
        "runtimeClassName": settings.runtime_class,
    }
    return {**pod, **{key: value for key, value in optional.items() if value}}


def _container(
    name: str, script: str, settings: KubernetesRunnerSettings, resources: Mapping[str, Any], mounts: list[tuple[str, str, bool]]
) -> dict[str, Any]:
    return {
        "name": name,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["/bin/sh", "-c", script],
        "workingDir": "/",
        "env": [{"name": "HOME", "value": WORK_ROOT}, {"name": "LANG", "value": "C.UTF-8"}],
        "resources": resources,
        # The last words of a program that failed come with the pod's status.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": volume, "mountPath": path, "readOnly": read_only} for volume, path, read_only in mounts],
    }


def _small() -> dict[str, Any]:
    return {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}}


def _resources(spec: PhaseSpec, settings: KubernetesRunnerSettings) -> dict[str, Any]:
    """Memory is limited, for one that takes more harms others; processors are shared by what each asks for."""
    memory = quantity(spec.memory or settings.memory)
    requests = {"cpu": spec.cpu or settings.cpu, "memory": memory, "ephemeral-storage": settings.disk}
    return {"requests": requests, "limits": {"memory": memory, "ephemeral-storage": settings.disk}}


def quantity(text: str) -> str:
    """An amount of bytes as Kubernetes writes it; workspaces may say `1K` and `1ki`, which it does not know."""
    return re.sub(r"[kK](i?)$", lambda found: "Ki" if found[1] else "k", text)
