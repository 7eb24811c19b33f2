"""Plans and applies as Jobs of a Kubernetes cluster."""

from __future__ import annotations

from terrapod_core.plugin import PluginContext, RunnerBackend, hookimpl
from terrapod_runner_kubernetes.backend import KubernetesRunner
from terrapod_runner_kubernetes.settings import KubernetesRunnerSettings


@hookimpl
def register_settings() -> type[KubernetesRunnerSettings]:
    return KubernetesRunnerSettings


@hookimpl
def register_runner_backends(context: PluginContext[KubernetesRunnerSettings]) -> list[RunnerBackend]:
    return [KubernetesRunner(context.settings, clock=context.clock, log=context.log)]
