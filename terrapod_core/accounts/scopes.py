"""What a token may be narrowed to: a highest level, and certain workspaces. What is narrow stays narrow in all that is made with it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from sqlalchemy.orm import Session

from terrapod_core.accounts.models import APIToken
from terrapod_core.authz import Actor, Level, Scope
from terrapod_core.errors import Invalid

ReadableWorkspaces: TypeAlias = Callable[[Session, Actor, Sequence[str]], Collection[str]]
"""Which of these workspaces, by id, exist and may be read by the actor; the workspaces' room knows."""

LEVELS: Final = {level.name.lower(): level for level in (Level.READ, Level.PLAN, Level.WRITE, Level.ADMIN)}
"""The words of `permission`."""

MOST_WORKSPACES: Final = 100
PERMISSION: Final = "/data/attributes/permission"
WORKSPACES: Final = "/data/attributes/workspaces"
RELATED: Final = "/data/relationships/workspaces"


@dataclass(frozen=True)
class Narrowing:
    """What is asked for. `None` leaves as much as there is: what the user may, or what the token may that it is made with.

    `permission` of `admin` narrows too: such a token does everything on workspaces and nothing to the installation.
    """

    permission: str | None = None
    workspace_ids: Sequence[str] | None = None
    pointer: str = WORKSPACES
    """Where in the request's document the workspaces were named."""


WHOLE: Final = Narrowing()


def scope_of(token: APIToken) -> Scope | None:
    """What the gate makes of a token's row; a word that a newer version wrote gives nothing."""
    if token.ceiling is None and token.workspace_ids is None:
        return None
    ceiling = Level.ADMIN if token.ceiling is None else LEVELS.get(token.ceiling, Level.NONE)
    return Scope(ceiling, None if token.workspace_ids is None else frozenset(token.workspace_ids))


def inherited(asked: Narrowing, parent: APIToken | None) -> Narrowing:
    """What the new token is narrowed to. Raises `Invalid` for what its parent has not, for unknown words and empty lists."""
    return Narrowing(_permission(asked.permission, parent), _workspaces(asked, parent), asked.pointer)


def _permission(asked: str | None, parent: APIToken | None) -> str | None:
    above = parent.ceiling if parent else None
    if asked is None:
        return above
    if asked not in LEVELS:
        raise Invalid(f"permission must be one of {', '.join(LEVELS)}", pointer=PERMISSION)
    if above is not None and LEVELS[asked] > LEVELS.get(above, Level.NONE):
        raise Invalid(f"a token made with another never gives more: permission may be at most {above}", pointer=PERMISSION)
    return asked


def _workspaces(asked: Narrowing, parent: APIToken | None) -> list[str] | None:
    above = parent.workspace_ids if parent else None
    if asked.workspace_ids is None:
        return above
    wanted = sorted(set(asked.workspace_ids))
    if not wanted:
        raise Invalid("name at least one workspace, or leave workspaces out for all of them", pointer=asked.pointer)
    if len(wanted) > MOST_WORKSPACES:
        raise Invalid(f"a token is for at most {MOST_WORKSPACES} workspaces, or for all", pointer=asked.pointer)
    if above is not None:
        check_all_there(wanted, above, asked.pointer)
    return wanted


def check_all_there(wanted: Sequence[str], found: Collection[str], pointer: str) -> None:
    """Raise `Invalid` for the first that is missing, in the words that are said of what is there and may not be seen."""
    missing = next((each for each in wanted if each not in found), None)
    if missing is not None:
        raise Invalid(f"there is no workspace {missing[:64]}, or you may not see it", pointer=pointer)
