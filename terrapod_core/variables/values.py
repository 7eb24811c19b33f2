"""What is done to a variable whoever holds it, a workspace or a set: checked, sealed, shown, recorded."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from msgspec import UNSET
from sqlalchemy.exc import IntegrityError

from terrapod_core import audit, ids
from terrapod_core.authz import Actor
from terrapod_core.db import UnitOfWork
from terrapod_core.errors import Invalid, Problems
from terrapod_core.secrets import Keyring
from terrapod_core.settings import Settings
from terrapod_core.variables.documents import CreateVariable, UpdateVariable, check, own_tokens
from terrapod_core.variables.models import COLUMN, Variable
from terrapod_core.variables.precedence import Origin


@dataclass(frozen=True)
class ShownVariable:
    """A variable as people see it: the value of a sensitive one is `None`, to everybody and always."""

    id: str
    workspace_id: str | None
    varset_id: str | None
    """The set that holds it, when no workspace does."""
    key: str
    value: str | None
    category: str
    hcl: bool
    sensitive: bool
    description: str | None
    version_id: str
    created_at: datetime
    updated_at: datetime
    origin: Origin | None = None
    """Where the value in force comes from; `None` where variables are listed as they are held."""


class Values:
    """Asks nobody for permission: the services did. Nothing here commits."""

    def __init__(self, keyring: Keyring, settings: Settings) -> None:
        """Of the settings only the server's own addresses are used: nobody sets the token that terraform would send to it."""
        self._keyring = keyring
        self._own_tokens = own_tokens(settings)

    async def create(
        self, uow: UnitOfWork, actor: Actor, new: CreateVariable, *, workspace_id: str | None = None, varset_id: str | None = None
    ) -> Variable:
        """Add a variable to the workspace or to the set; its key must be new there in its category, or `Invalid`."""
        value, description = new.value or "", new.description or None
        check(new.key, new.category, value, description, self._own_tokens, hcl=new.hcl is True)
        now = uow.now()
        variable = Variable(
            id=ids.new("var"),
            workspace_id=workspace_id,
            varset_id=varset_id,
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
        return variable

    async def update(self, uow: UnitOfWork, actor: Actor, variable: Variable, changes: UpdateVariable) -> None:
        """Change what was sent. Of a sensitive variable only value and description change, or `Invalid`."""
        changed = _changed(variable, changes)
        if variable.sensitive:
            _only_the_value(changed)
        old = self.open(variable)
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

    async def delete(self, uow: UnitOfWork, actor: Actor, variable: Variable) -> None:
        """Remove it."""
        await uow.session.delete(variable)
        _record(uow, actor, "variable.delete", variable)

    def open(self, variable: Variable) -> str:
        """The value, sensitive or not."""
        return self._keyring.open(variable.value_sealed, column=COLUMN, row=variable.id).decode()

    def shown(self, variable: Variable, origin: Origin | None = None) -> ShownVariable:
        """What people see of it."""
        return ShownVariable(
            id=variable.id,
            workspace_id=variable.workspace_id,
            varset_id=variable.varset_id,
            key=variable.key,
            value=None if variable.sensitive else self.open(variable),
            category=variable.category,
            hcl=variable.hcl,
            sensitive=variable.sensitive,
            description=variable.description,
            version_id=variable.version_id,
            created_at=variable.created_at,
            updated_at=variable.updated_at,
            origin=origin,
        )

    def _write(self, variable: Variable, value: str, now: datetime) -> None:
        variable.value_sealed = self._keyring.seal(value.encode(), column=COLUMN, row=variable.id)
        variable.version_id = secrets.token_hex(32)
        variable.updated_at = now


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
    held = {"workspace_id": variable.workspace_id} if variable.workspace_id is not None else {"varset_id": variable.varset_id}
    about = {"key": variable.key, "category": variable.category, "sensitive": variable.sensitive, **held}
    audit.record(uow, actor, action, "vars", variable.id, **about, **detail)
