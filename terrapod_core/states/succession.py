"""Which state may follow which, and who may write one. Pure: rows in, a `Conflict` with the reason out.

The reasons say what terraform's users know from the service this protocol comes from; terraform prints them as they are.
"""

from __future__ import annotations

from terrapod_core.errors import Conflict
from terrapod_core.states.models import StateVersion
from terrapod_core.workspaces import Workspace


def require_lock(workspace: Workspace, kind: str, holder_id: str | None) -> None:
    """Pass when the user or run holds the workspace's lock."""
    if workspace.lock_kind is None:
        raise Conflict("the workspace is not locked: state is accepted only while it is locked, from the one who locked it")
    if (workspace.lock_kind, workspace.lock_holder_id) != (kind, holder_id):
        holder = workspace.lock_holder_name or workspace.lock_holder_id
        raise Conflict(
            f"the workspace is locked by {workspace.lock_kind.capitalize()} {holder}: state is accepted only from the holder of the lock"
        )


def is_same(current: StateVersion | None, serial: int, lineage: str | None, md5: str) -> bool:
    """Whether the state is the current one, once more."""
    if current is None or (current.serial, current.md5) != (serial, md5):
        return False
    return not lineage or not current.lineage or lineage == current.lineage


def check_follows(current: StateVersion | None, serial: int, lineage: str | None, md5: str) -> None:
    """Pass when the state may become current after this one: the same lineage, a greater serial."""
    if current is None:
        return
    if lineage and current.lineage and lineage != current.lineage:
        raise Conflict(
            f"the state's lineage {lineage} does not match the known one, {current.lineage}: it is probably the state of another "
            "workspace; a forced push replaces the known state all the same (terraform state push -force, which the `remote` backend "
            "passes on and the `cloud` block does not)"
        )
    if serial == current.serial and md5 != current.md5:
        raise Conflict(f"the state's hash does not match the one known for serial {serial}: somebody else wrote that serial")
    if serial <= current.serial:
        raise Conflict(f"the state's serial {serial} is not greater than the known one, {current.serial}")
