"""Plans and applies as processes beside the server."""

from __future__ import annotations

from terrapod_core.plugin import PluginContext, RunnerBackend, hookimpl
from terrapod_runner_local.backend import LocalRunner
from terrapod_runner_local.settings import LocalRunnerSettings


@hookimpl
def register_settings() -> type[LocalRunnerSettings]:
    return LocalRunnerSettings


@hookimpl
def register_runner_backends(context: PluginContext[LocalRunnerSettings]) -> list[RunnerBackend]:
    return [LocalRunner(context.data_dir / "runs", context.settings, log=context.log)]
