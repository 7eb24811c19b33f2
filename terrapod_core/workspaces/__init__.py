"""Workspaces: settings, labels, locks, and who may read whose state. Names they had stay theirs.

For other rooms: `queries` (all synchronous, for `Database.read` and `UnitOfWork.run`), and of `Workspaces` the methods that take
a unit of work: `take_for_run`, `release_from_run`, `set_current_run`, `set_current_state`, `set_current_configuration`. These
change a row that the caller got from `queries.for_update` in the same unit of work, and ask nobody: the caller did.
"""

from __future__ import annotations

from terrapod_core.projects import ExecutionMode
from terrapod_core.workspaces.models import LockKind, UntrustedPlans, Workspace
from terrapod_core.workspaces.service import Workspaces

__all__ = ["ExecutionMode", "LockKind", "UntrustedPlans", "Workspace", "Workspaces"]
