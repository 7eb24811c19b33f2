"""What plugins add to the running server, put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from terrapod_core.extensions import background
from terrapod_core.extensions.additions import Additions
from terrapod_core.extensions.api import Inner
from terrapod_core.extensions.contexts import ServerContexts
from terrapod_core.extensions.lookup import Lookup
from terrapod_core.extensions.run_checks import RunChecks
from terrapod_core.jobs import Jobs
from terrapod_core.plugin import ContextFactory, Plugins

if TYPE_CHECKING:
    from terrapod_core.app.services import Services


@dataclass(frozen=True)
class ExtensionParts:
    """The parts that others know."""

    plugins: Plugins
    contexts: ServerContexts
    inner: Inner
    run_checks: RunChecks
    additions: Additions

    def register(self, jobs: Jobs) -> None:
        """The background work of plugins among the server's own."""
        background.register(jobs, self.plugins.jobs(self.contexts), self.contexts.migrations)


def opened(parts: Services, usual: ContextFactory) -> ExtensionParts:
    """Over the rooms below; `usual` makes what every plugin is given."""
    inner, lookup = Inner(), Lookup(parts.db, parts.authz)
    contexts = ServerContexts(
        usual=usual,
        db=parts.db,
        inner=inner,
        lookup=lookup,
        current=inner.current,
        actor_of=parts.actor_of,
        migrations=parts.plugins.migrations(),
        base_url=(parts.settings.external_url or "").rstrip("/") or None,
    )
    return ExtensionParts(
        parts.plugins,
        contexts,
        inner,
        RunChecks(parts.plugins.run_checks(contexts)),
        Additions(parts.plugins.workspace_additions(contexts), lookup),
    )
