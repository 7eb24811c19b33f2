"""`[runner.kubernetes]`"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from terrapod_core.plugin import PluginSettings, setting

OWN_PREFIX: Final = "terrapod.io/"
"""Of labels and annotations by which the plugin knows its own."""

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_KEY: Final = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?", re.ASCII)
_VALUE: Final = re.compile(r"([A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_TAINT: Final = re.compile(r"(?P<key>[^=:]*)(=(?P<value>[^=:]*))?(:(?P<effect>NoSchedule|PreferNoSchedule|NoExecute))?")
_CPU: Final = re.compile(r"\d{1,6}(\.\d{1,3})?|\d{1,9}m")
_BYTES: Final = re.compile(r"\d{1,15}(\.\d{1,3})?([kMGT]|[KMGT]i)?")


@dataclass(frozen=True, kw_only=True)
class KubernetesRunnerSettings(PluginSettings):
    """Which cluster, and what the Jobs in it look like."""

    image: str | None = setting(None, "The runner image; it must be set where this backend is chosen.")
    namespace: str | None = setting(None, "Where Jobs are made.", shown_default="the server's own, or that of the kubeconfig")
    kubeconfig: Path | None = setting(None, "A kubeconfig file.", shown_default="the service account of the server's own pod")
    context: str | None = setting(None, "A context of the kubeconfig file.", shown_default="its current one")
    instance: str = setting("terrapod", "Tells the Jobs of this server from those of another in the same namespace.")
    concurrency: int = setting(10, "How many plans and applies run at once.")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = setting("IfNotPresent", "When nodes fetch the image.")
    image_pull_secrets: tuple[str, ...] = setting((), "Names of Secrets with which nodes fetch the image.")
    node_selector: tuple[str, ...] = setting((), "Labels a node must have: `key=value`.")
    tolerations: tuple[str, ...] = setting((), "Taints that Jobs tolerate: `key=value:NoSchedule`, `key:NoExecute`, `key`.")
    labels: tuple[str, ...] = setting((), "Further labels of Jobs and pods: `key=value`.")
    annotations: tuple[str, ...] = setting((), "Further annotations of pods: `key=value`.")
    priority_class: str | None = setting(None, "The PriorityClass of pods.")
    runtime_class: str | None = setting(None, "The RuntimeClass of pods, such as one of gVisor.")
    service_accounts: tuple[str, ...] = setting((), "Service accounts that agent pools may ask for.", shown_default="any of the namespace")
    user: int = setting(65_532, "User and group that pods run as; never root.")
    cpu: str = setting("500m", "What a pod asks for where its workspace does not say.")
    memory: str = setting("1Gi", "What a pod asks for, and may use at most, where its workspace does not say.")
    disk: str = setting("8Gi", "What a pod may write: the configuration, providers, modules, plans.")
    engines_dir: str | None = setting(None, "Directory of terraform and tofu binaries in the image, looked through before `PATH`.")
    state_transport: Literal["http", "file"] = setting("http", "How terraform hands over its state; see the local runner.")
    start_seconds: int = setting(900, "How long a pod may take to be scheduled and to begin.")
    stop_seconds: int = setting(3600, "How long a pod that is told to stop, or is evicted, may take where the cluster lets it.")
    force_seconds: int = setting(60, "How long after a forced cancel a pod is killed.")
    most_seconds: int = setting(172_800, "The longest that a phase may take.")
    keep_seconds: int = setting(3600, "How long a Job that has ended is kept for people to look at.")

    def __post_init__(self) -> None:
        for name in ("concurrency", "user", "start_seconds", "stop_seconds", "force_seconds", "most_seconds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be at least 1")
        if self.keep_seconds < 0:
            raise ValueError(f"keep_seconds = {self.keep_seconds} must not be negative")
        _check_names(self)
        if self.context is not None and self.kubeconfig is None:
            raise ValueError("context is of a kubeconfig file: set kubeconfig too")
        if self.engines_dir is not None and not self.engines_dir.startswith("/"):
            raise ValueError(f"engines_dir: {self.engines_dir!r} must be an absolute path in the image")
        _check_amounts(self)
        for name in ("node_selector", "labels", "annotations"):
            _check_pairs(name, getattr(self, name))
        list(_tolerations(self.tolerations))

    def pairs(self, name: Literal["node_selector", "labels", "annotations"]) -> dict[str, str]:
        """A setting of `key=value` texts, read."""
        entries: tuple[str, ...] = getattr(self, name)
        return dict(_pairs(entries))

    def tolerated(self) -> list[Mapping[str, str]]:
        """`tolerations` as Kubernetes writes them."""
        return list(_tolerations(self.tolerations))


def is_service_account(name: str) -> bool:
    """Whether a service account may have this name."""
    return len(name) <= 253 and all(_NAME.fullmatch(part) for part in name.split("."))


def _check_names(settings: KubernetesRunnerSettings) -> None:
    if not _NAME.fullmatch(settings.instance):
        raise ValueError(f"instance: {settings.instance!r} must be lower-case letters, digits and -")
    if settings.namespace is not None and not _NAME.fullmatch(settings.namespace):
        raise ValueError(f"namespace: {settings.namespace!r} is no name of a namespace")
    for name in settings.service_accounts:
        if not is_service_account(name):
            raise ValueError(f"service_accounts: {name!r} is no name of a service account")


def _check_amounts(settings: KubernetesRunnerSettings) -> None:
    for name, form, example in (("cpu", _CPU, "1, 0.5 or 500m"), ("memory", _BYTES, "2Gi or 512Mi"), ("disk", _BYTES, "8Gi")):
        if not form.fullmatch(getattr(settings, name)):
            raise ValueError(f"{name} = {getattr(settings, name)!r} must be an amount such as {example}")


def _check_pairs(name: str, entries: tuple[str, ...]) -> None:
    for entry in entries:
        key, equals, value = entry.partition("=")
        if not equals or not _KEY.fullmatch(key) or (name != "annotations" and not _VALUE.fullmatch(value)):
            raise ValueError(f"{name}: {entry!r} must be key=value, as Kubernetes allows them")
        if key.startswith((OWN_PREFIX, "app.kubernetes.io/")):
            raise ValueError(f"{name}: {key} is one that the plugin sets itself")


def _pairs(entries: Iterable[str]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        key, _, value = entry.partition("=")
        yield key, value


def _tolerations(entries: Iterable[str]) -> Iterator[Mapping[str, str]]:
    for entry in entries:
        found = _TAINT.fullmatch(entry)
        if found is None or not _KEY.fullmatch(found["key"]) or not _VALUE.fullmatch(found["value"] or ""):
            raise ValueError(f"tolerations: {entry!r} must be key=value:effect, key:effect or key; effects are NoSchedule and NoExecute")
        value = {"operator": "Exists"} if found["value"] is None else {"operator": "Equal", "value": found["value"]}
        yield {"key": found["key"], **value, **({"effect": found["effect"]} if found["effect"] else {})}
