"""Variables: create, read, list, update, delete, and what a run gets."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from msgspec import UNSET
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from terrapod_core import audit, ids
from terrapod_core.authz import Actor, Authorizer, Permission
from terrapod_core.authz.gate import missing
from terrapod_core.db import Database, UnitOfWork
from terrapod_core.errors import Invalid, Problems
from terrapod_core.plugin.events import WorkspaceDeleted
from terrapod_core.secrets import Keyring
from terrapod_core.settings import Settings
from terrapod_core.variables import queries
from terrapod_core.variables.documents import CreateVariable, UpdateVariable, check, own_tokens
from terrapod_core.variables.models import COLUMN, Category, Variable
from terrapod_core.workspaces import Workspace, queries as workspaces


@dataclass(frozen=True)
class ShownVariable:
    """A variable as people see it: the value of a sensitive one is `None`, to everybody and always."""

    id: str
    workspace_id: str
    key: str
    value: str | None
    category: str
    hcl: bool
    sensitive: bool
    description: str | None
    version_id: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class EffectiveVariable:
    """A variable as a run gets it, sensitive or not."""

    key: str
    value: str
    category: Category
    hcl: bool
    """Whether the value is an expression; never for the environment."""
    sensitive: bool


class Variables:
    """go-tfe's `Variables`."""

    def __init__(self, db: Database, authz: Authorizer, keyring: Keyring, settings: Settings) -> None:
        """Of the settings only the server's own addresses are used: nobody sets the token that terraform would send to it."""
        self._db = db
        self._authz = authz
        self._keyring = keyring
        self._own_tokens = own_tokens(settings)

    async def list(self, actor: Actor, workspace_id: str) -> Sequence[ShownVariable]:
        """All variables of the workspace, by category and key."""

        def read(session: Session) -> Sequence[Variable]:
            self._allowed(session, actor, Permission.VARIABLE_READ, workspace_id)
            return queries.of_workspace(session, workspace_id)

        return [self._shown(variable) for variable in await self._db.read(read)]

    async def list_named(self, actor: Actor, workspace_name: str) -> Sequence[ShownVariable]:
        """The same, by the workspace's name."""
        workspace = await self._db.read(lambda session: workspaces.by_name(session, workspace_name))
        return await self.list(actor, workspace.id if workspace is not None else "")

    async def read(self, actor: Actor, variable_id: str, workspace_id: str | None = None) -> ShownVariable:
        """One variable; `NotFound` also when it is not of the workspace that was named with it."""

        def read(session: Session) -> Variable:
            variable = self._of(queries.by_id(session, variable_id), workspace_id)
            self._allowed(session, actor, Permission.VARIABLE_READ, variable.workspace_id, noun="variable")
            return variable

        return self._shown(await self._db.read(read))

    async def create(self, actor: Actor, workspace_id: str, new: CreateVariable) -> ShownVariable:
        """Add a variable; its key must be new in its category."""
        async with self._db.uow() as uow:
            await uow.run(lambda session: self._allowed(session, actor, Permission.VARIABLE_WRITE, workspace_id))
            value, description = new.value or "", new.description or None
            check(new.key, new.category, value, description, self._own_tokens, hcl=new.hcl is True)
            now = uow.now()
            variable = Variable(
                id=ids.new("var"),
                workspace_id=workspace_id,
                key=new.key,
                category=new.category,
                hcl=new.hcl is True,
                sensitive=new.sensitive is True,
                description=description,
                created_at=now,
            )
            self._write(variable, value, now)
            uow.add(variable)
            _record(uow, actor, "variable.create", variable)
            await _flush(uow)
            await uow.commit()
        return self._shown(variable)

    async def update(self, actor: Actor, variable_id: str, changes: UpdateVariable, workspace_id: str | None = None) -> ShownVariable:
        """Change what was sent. Of a sensitive variable only value and description change, or `Invalid`."""
        async with self._db.uow() as uow:
            variable = await self._taken(uow, actor, variable_id, workspace_id)
            changed = _changed(variable, changes)
            if variable.sensitive:
                _only_the_value(changed)
            old = self._open(variable)
            keeps = changes.value is UNSET or (changes.value is None and variable.sensitive)
            value = old if keeps else changes.value or ""
            key, category = changed.get("key", variable.key), changed.get("category", variable.category)
            check(key, category, value, changed.get("description"), self._own_tokens, hcl=changed.get("hcl", variable.hcl))
            for name, new in changed.items():
                setattr(variable, name, new)
            if value != old:
                changed["value"] = None
            self._write(variable, value, uow.now())
            _record(uow, actor, "variable.update", variable, changed=sorted(changed))
            await _flush(uow)
            await uow.commit()
        return self._shown(variable)

    async def delete(self, actor: Actor, variable_id: str, workspace_id: str | None = None) -> None:
        """Remove a variable."""
        async with self._db.uow() as uow:
            variable = await self._taken(uow, actor, variable_id, workspace_id)
            await uow.session.delete(variable)
            _record(uow, actor, "variable.delete", variable)
            await uow.commit()

    def effective(self, session: Session, workspace_id: str) -> Sequence[EffectiveVariable]:
        """What a run of the workspace gets, one variable for each category and key; for the runs' room, which asked the gate.

        Layers from low to high, a later one wins; sets of variables are further layers, before and after the workspace's own.
        """
        layers = [queries.of_workspace(session, workspace_id)]
        merged = {(variable.category, variable.key): variable for layer in layers for variable in layer}
        return [
            EffectiveVariable(
                key=variable.key,
                value=self._open(variable),
                category=Category(variable.category),
                hcl=variable.hcl,
                sensitive=variable.sensitive,
            )
            for variable in merged.values()
        ]

    async def forget(self, deleted: WorkspaceDeleted) -> None:
        """Remove the variables of a workspace that is gone: secrets do not wait for its row to be purged."""
        async with self._db.uow() as uow:
            await uow.session.execute(delete(Variable).where(Variable.workspace_id == deleted.workspace_id))
            await uow.commit()

    # -- inside

    def _allowed(self, session: Session, actor: Actor, permission: Permission, workspace_id: str, *, noun: str = "workspace") -> Workspace:
        workspace = workspaces.by_id(session, workspace_id)
        if workspace is None:
            raise missing(noun)
        self._authz.require(actor, permission, workspace, noun=noun)
        return workspace

    def _of(self, variable: Variable | None, workspace_id: str | None) -> Variable:
        if variable is None or workspace_id not in (None, variable.workspace_id):
            raise missing("variable")
        return variable

    async def _taken(self, uow: UnitOfWork, actor: Actor, variable_id: str, workspace_id: str | None) -> Variable:
        def take(session: Session) -> Variable:
            variable = self._of(queries.for_update(session, variable_id), workspace_id)
            self._allowed(session, actor, Permission.VARIABLE_WRITE, variable.workspace_id, noun="variable")
            return variable

        return await uow.run(take)

    def _write(self, variable: Variable, value: str, now: datetime) -> None:
        variable.value_sealed = self._keyring.seal(value.encode(), column=COLUMN, row=variable.id)
        variable.version_id = secrets.token_hex(32)
        variable.updated_at = now

    def _open(self, variable: Variable) -> str:
        return self._keyring.open(variable.value_sealed, column=COLUMN, row=variable.id).decode()

    def _shown(self, variable: Variable) -> ShownVariable:
        return ShownVariable(
            id=variable.id,
            workspace_id=variable.workspace_id,
            key=variable.key,
            value=None if variable.sensitive else self._open(variable),
            category=variable.category,
            hcl=variable.hcl,
            sensitive=variable.sensitive,
            description=variable.description,
            version_id=variable.version_id,
            created_at=variable.created_at,
            updated_at=variable.updated_at,
        )


def _changed(variable: Variable, sent: UpdateVariable) -> dict[str, Any]:
    """The columns that would be other than they are, the value left aside. A `null` flag says nothing."""
    said: dict[str, Any] = {name: getattr(sent, name) for name in ("key", "category", "hcl", "sensitive")}
    said = {name: value for name, value in said.items() if value is not UNSET and value is not None}
    if sent.description is not UNSET:
        said["description"] = sent.description or None
    return {name: value for name, value in said.items() if value != getattr(variable, name)}


def _only_the_value(changed: dict[str, Any]) -> None:
    problems = Problems()
    for name in ("key", "category", "hcl"):
        if name in changed:
            problems.add(f"{name.capitalize()} cannot be changed on a sensitive variable; delete it and make another", attribute=name)
    if "sensitive" in changed:
        problems.add("A sensitive variable stays sensitive; delete it and make another", attribute="sensitive")
    problems.refuse()


async def _flush(uow: UnitOfWork) -> None:
    try:
        await uow.flush()
    except IntegrityError as error:
        raise Invalid("Key has already been taken", pointer="/data/attributes/key") from error


def _record(uow: UnitOfWork, actor: Actor, action: str, variable: Variable, **detail: Any) -> None:
    about = {"key": variable.key, "category": variable.category, "sensitive": variable.sensitive, "workspace_id": variable.workspace_id}
    audit.record(uow, actor, action, "vars", variable.id, **about, **detail)
