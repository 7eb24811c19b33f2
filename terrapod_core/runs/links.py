"""Log links: what `log-read-url` points to. The token is in the path, because terraform's reader replaces the whole query."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy.orm import Session

from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.clock import Clock
from terrapod_core.runs import queries
from terrapod_core.runs.models import Phase
from terrapod_core.runs.resources import PhaseView
from terrapod_core.storage import Capabilities, Purpose
from terrapod_core.workspaces import Workspace

LINK_LIFE: Final = timedelta(hours=24)
"""Reading the plan or apply again gives a new one."""


class Links:
    """Makes the views of plans and applies, each with a fresh link to its log."""

    def __init__(self, capabilities: Capabilities, clock: Clock, authz: Authorizer) -> None:
        self._capabilities = capabilities
        self._clock = clock
        self._authz = authz

    def view(self, phase: Phase, workspace: Workspace) -> PhaseView:
        """The phase with a link that is good for a day."""
        path = self._capabilities.url_path(Purpose.LOG_READ, "GET", phase.id, expires=self._clock.now() + LINK_LIFE)
        return PhaseView(phase, workspace, path)

    def load(self, session: Session, actor: Actor, ids: Sequence[str]) -> list[PhaseView]:
        """For `include=plan,apply`: those that the actor may see."""
        found = queries.phases(session, ids)
        return [self.view(phase, workspace) for phase, workspace in found if self._authz.allows(actor, Permission.RUN_READ, workspace)]
