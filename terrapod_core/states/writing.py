"""How bytes become a state version: stored first, looked through as they pass, made current in one transaction or not at all."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, update

from terrapod_core import audit, ids
from terrapod_core.authz import Actor
from terrapod_core.db import UnitOfWork
from terrapod_core.errors import Invalid
from terrapod_core.plugin.events import StateVersionFinalized
from terrapod_core.secrets import Keyring
from terrapod_core.states import queries
from terrapod_core.states.models import VALUE_COLUMN, StateStatus, StateVersion, StateVersionOutput
from terrapod_core.states.pace import Pace
from terrapod_core.states.reading import OutputValue, State, StateReader, simple_type
from terrapod_core.storage import ObjectKind, Objects, Stored
from terrapod_core.storage.streams import batches, inspected
from terrapod_core.workspaces import Workspace, Workspaces

WHAT: Final = "state"

_OVERTAKEN: Final = (
    update(StateVersion)
    .where(
        StateVersion.workspace_id == bindparam("its_workspace_id"),
        StateVersion.status == StateStatus.PENDING.value,
        StateVersion.serial <= bindparam("its_serial"),
        StateVersion.force.is_(False),
        StateVersion.id != bindparam("its_id"),
    )
    .values(status=StateStatus.DISCARDED.value)
    .execution_options(synchronize_session=False)
)


@dataclass(frozen=True)
class Arrived:
    """A state whose bytes are stored and read, and named by no row yet."""

    stored: Stored
    state: State

    def check(self, *, serial: int, lineage: str | None, md5: str) -> None:
        """Pass when the bytes are those that were declared; `Invalid` says what differs."""
        if self.stored.md5 != md5:
            raise Invalid(f"the md5 of the state is {self.stored.md5}, and {md5} was declared", code="state_mismatch")
        if self.state.serial != serial:
            raise Invalid(f"the state has the serial {self.state.serial}, and {serial} was declared", code="state_mismatch")
        if lineage and self.state.lineage != lineage:
            raise Invalid(f"the state has the lineage {self.state.lineage}, and {lineage} was declared", code="state_mismatch")


class StateWriter:
    """Stores states and makes them versions. The rules of who and when are the service's."""

    def __init__(self, workspaces: Workspaces, objects: Objects, keyring: Keyring, limit: int) -> None:
        self._workspaces = workspaces
        self._objects = objects
        self._keyring = keyring
        self._limit = limit
        self.pace = Pace()

    async def store(self, version_id: str, chunks: AsyncIterable[bytes]) -> Arrived:
        """Store a state for this version. `Invalid` when it is none, `TooLarge` over the limit; then nothing is left behind."""
        reader = StateReader()
        with self.pace.taking():
            stored = await self._objects.put(ObjectKind.STATE, version_id, inspected(chunks, reader), limit=self._limit)
        return Arrived(stored, reader.state)

    async def finalize(self, uow: UnitOfWork, version: StateVersion, arrived: Arrived) -> bool:
        """Give the version its bytes, outputs and summaries; nothing else changes yet.

        Whether it names the object that was stored: it does not when the workspace had the same bytes already.
        """
        state, stored = arrived.state, arrived.stored
        version.status = StateStatus.FINALIZED.value
        version.finalized_at = uow.now()
        known = await uow.run(lambda session: queries.same_content(session, version.workspace_id, stored.sha256))
        version.content_of, version.object_key = known or (None, stored.key)
        version.size, version.md5, version.sha256 = stored.size, stored.md5, stored.sha256
        version.serial, version.lineage = state.serial, state.lineage
        version.terraform_version, version.state_version = state.terraform_version, state.format
        version.resources, version.modules, version.providers = state.resources, state.modules, state.providers
        version.resource_count = state.resource_count
        for output in state.outputs.values():
            uow.append(StateVersionOutput, **self._output(version.id, output))
        return known is None

    async def make_current(self, uow: UnitOfWork, workspace: Workspace, version: StateVersion, *, overtakes: bool = True) -> None:
        """Let the workspace point to a finalized version; announced ones that can no longer follow are discarded.

        `overtakes` is false when the caller has seen, under the workspace's lock, that there are none.
        """
        if overtakes:
            await uow.flush()
            values = {"its_workspace_id": workspace.id, "its_serial": version.serial, "its_id": version.id}
            await uow.session.execute(_OVERTAKEN, values)
        self._workspaces.set_current_state(uow, workspace, version.id, version.resource_count)
        uow.emit(StateVersionFinalized(version.id, workspace.id))

    def note(self, uow: UnitOfWork, actor: Actor, verb: str, version: StateVersion, workspace: Workspace, **detail: Any) -> None:
        """Write the audit entry of a change of a state."""
        audit.record(
            uow,
            actor,
            f"state-version.{verb}",
            "state-versions",
            version.id,
            workspace=workspace.name,
            serial=version.serial,
            lineage=version.lineage,
            md5=version.md5,
            **detail,
        )

    def _output(self, version_id: str, output: OutputValue) -> dict[str, Any]:
        output_id = ids.new("wsout")
        sealed = None if output.value is None else self._keyring.seal(output.value, column=VALUE_COLUMN, row=output_id)
        return {
            "id": output_id,
            "state_version_id": version_id,
            "name": output.name,
            "sensitive": output.sensitive,
            "type": simple_type(output.type, output.value),
            "detailed_type": output.type,
            "value": sealed,
        }


async def is_same(chunks: AsyncIterable[bytes], *, size: int, md5: str | None = None, sha256: str | None = None) -> bool:
    """Whether a stream is these bytes; no more of it is read than it takes to know."""
    digest = hashlib.md5(usedforsecurity=False) if md5 is not None else hashlib.sha256()
    seen = 0
    async for batch in batches(chunks):
        seen += len(batch)
        if seen > size:
            return False
        await asyncio.to_thread(digest.update, batch)
    return digest.hexdigest() == (md5 or sha256)


async def with_serial(chunks: AsyncIterable[bytes], span: tuple[int, int], serial: int) -> AsyncIterator[bytes]:
    """A state's bytes with another serial in place of what stands at `span`; everything else stays as it is."""
    start, end = span
    at = 0
    async for chunk in chunks:
        beyond = at + len(chunk)
        if beyond <= start or at >= end:
            yield chunk
        else:
            if at <= start:
                yield chunk[: start - at] + str(serial).encode()
            if beyond >= end:
                yield chunk[end - at :]
        at = beyond
