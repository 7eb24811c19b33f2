"""Plans and applies on other machines, over SSH."""

from __future__ import annotations

from terrapod_core.plugin import PluginContext, RunnerBackend, hookimpl
from terrapod_runner_ssh.backend import SshRunner
from terrapod_runner_ssh.settings import SshRunnerSettings


@hookimpl
def register_settings() -> type[SshRunnerSettings]:
    return SshRunnerSettings


@hookimpl
def register_runner_backends(context: PluginContext[SshRunnerSettings]) -> list[RunnerBackend]:
    return [SshRunner(context.settings, log=context.log)]
