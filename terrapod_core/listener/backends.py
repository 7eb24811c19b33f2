"""The runner backend of this machine, found by the plugin manager as on a server, but without a database behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NoReturn

import structlog

from terrapod_core.clock import Clock, SystemClock
from terrapod_core.outgoing import HTTPClients
from terrapod_core.plugin import (
    PluginContexts,
    Plugins,
    RunnerBackend,
    SettingsError,
    StoredPassword,
    SupportsCapacity,
    SupportsIsolation,
    SupportsSelfTest,
)
from terrapod_core.settings import Settings

ACCEPTED: Final = "none"

log = structlog.get_logger("terrapod.listener")


class NoDatabase:
    """The stores that a plugin's context has on a server: a listener has none, and runner backends need none."""

    async def find(self, email: str) -> StoredPassword | None:
        """Never."""
        self._refuse()

    async def save(self, user_id: str, new_hash: str) -> None:
        """Never."""
        self._refuse()

    async def claim(self, key: str, until: datetime) -> bool:
        """Never."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise SettingsError("a listener has no database, so no plugin can keep anything in it")


@dataclass(frozen=True)
class Backend:
    """A runner backend, and how many phases it may run here at a time."""

    runner: RunnerBackend
    capacity: int


async def open_backend(settings: Settings, http: HTTPClients, *, capacity: int | None, clock: Clock | None = None) -> Backend:
    """The backend that `runner.backend` names, tried. Raises `SettingsError` for one that is not there or keeps nothing apart.

    `capacity` is what was asked for; without it the backend's own counts, and 1 where it has none.
    """
    nothing = NoDatabase()
    contexts = PluginContexts(clock=clock or SystemClock(), data_dir=settings.data_dir, passwords=nothing, once=nothing, http=http)
    plugins = Plugins.discover(settings)
    runner = plugins.choose(plugins.runner_backends(contexts), "runner", settings.runner.backend, "runner.backend")
    reason = await runner.self_test() if isinstance(runner, SupportsSelfTest) else None
    _check_isolation(runner, settings, reason)
    own = runner.capacity if isinstance(runner, SupportsCapacity) else 1
    return Backend(runner, capacity or own)


def _check_isolation(runner: RunnerBackend, settings: Settings, reason: str | None) -> None:
    """Refuse to hand this machine to whoever may start a run, unless the operator has said so in as many words."""
    if not isinstance(runner, SupportsIsolation) or runner.isolation != "none":
        return
    asked: Mapping[str, object] = {name: raw.value for name, raw in settings.plugin_section("runner", runner.name).items()}
    if asked.get("isolation") != ACCEPTED:
        raise SettingsError(
            f"terraform cannot be kept apart on this machine ({reason}): it could read this listener's key and the tokens of other runs. "
            f"Mend that, or accept it: TERRAPOD_RUNNER__{runner.name.upper()}__ISOLATION=none"
        )
    log.warning("terraform is not kept apart: every run of the pool can read this listener's key and the tokens of other runs")
