"""What a route can need, and what that comes to for each kind of person who asks.

A row says what a route needs. What each kind of person is answered follows from that, so that a wrong answer of a route
cannot be written down as right by accident.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from terrapod_core.authz import NEEDS, Level, Permission


class Who(StrEnum):
    """Those who ask, by what they hold on the workspace that the walk is about."""

    ANONYMOUS = "anonymous"
    NONE = "none"
    READ = "read"
    PLAN = "plan"
    WRITE = "write"
    ADMIN = "admin"
    AUDIT = "audit"
    PLATFORM = "platform admin"
    SUPERVISOR = "runner's supervisor"
    ENGINE = "runner's engine"


LEVELS: Final[dict[Who, Level]] = {
    Who.NONE: Level.NONE,
    Who.READ: Level.READ,
    Who.PLAN: Level.PLAN,
    Who.WRITE: Level.WRITE,
    Who.ADMIN: Level.ADMIN,
    Who.AUDIT: Level.READ,
    Who.PLATFORM: Level.ADMIN,
}
"""What they hold there: by a role of that level, or by a platform role."""


class Gets(StrEnum):
    """What an answer comes to."""

    IN = "in"
    """The route did what it does, or said what is wrong with what was sent."""
    FORBIDDEN = "403"
    HIDDEN = "404"
    """As for what does not exist. For an id inside a document that is 422."""
    UNKNOWN = "401"
    REFUSED = "401 or 404"
    """At a door of runners: nothing is told to anybody else."""


@dataclass(frozen=True)
class Open:
    """For everybody, without a token; `why` it can be."""

    why: str

    def words(self) -> str:
        return f"everybody: {self.why}"

    def gets(self, who: Who) -> Gets:
        return Gets.IN


@dataclass(frozen=True)
class SignedIn:
    """For everybody who is signed in: it is about themselves, shows only what they may see, or makes something of their own."""

    about: str
    engine: bool = False
    """Whether it is open to what terraform itself holds during a run, too."""

    def words(self) -> str:
        return f"everybody who is signed in: {self.about}" + ("; a run's engine" if self.engine else "")

    def gets(self, who: Who) -> Gets:
        if who is Who.ENGINE:
            return Gets.IN if self.engine else Gets.HIDDEN
        return Gets.IN if who in LEVELS else Gets.UNKNOWN


@dataclass(frozen=True)
class On:
    """Needs a permission on the workspace."""

    permission: Permission
    engine: bool = False
    """Whether what terraform itself holds during a run opens it, for the run's own workspace and those that share state with it."""

    def words(self) -> str:
        engine = "; a run's engine, for its own workspace and those that share their state with it" if self.engine else ""
        return f"`{NEEDS[self.permission].name.lower()}` on the workspace (`{self.permission}`){engine}"

    def gets(self, who: Who) -> Gets:
        if who is Who.ENGINE:
            return Gets.IN if self.engine else Gets.HIDDEN
        if who not in LEVELS:
            return Gets.UNKNOWN
        if LEVELS[who] < Level.READ:
            return Gets.HIDDEN
        return Gets.IN if LEVELS[who] >= NEEDS[self.permission] else Gets.FORBIDDEN


@dataclass(frozen=True)
class Platform:
    """Needs a platform role."""

    admin: bool

    def words(self) -> str:
        return "platform role `admin`" if self.admin else "platform role `admin` or `audit`"

    def gets(self, who: Who) -> Gets:
        if who is Who.ENGINE:
            return Gets.HIDDEN
        if who not in LEVELS:
            return Gets.UNKNOWN
        return Gets.IN if who is Who.PLATFORM or (who is Who.AUDIT and not self.admin) else Gets.FORBIDDEN


@dataclass(frozen=True)
class Owned:
    """Belongs to one user, about which no role says anything; the walk's things are the platform admin's."""

    what: str
    audited: Gets | None = Gets.IN
    """What an auditor gets; `None` is what everybody gets."""
    others: Gets = Gets.HIDDEN

    def words(self) -> str:
        seen = "; platform role `audit` may look" if self.audited is Gets.IN else ""
        return f"its owner and platform role `admin`: {self.what}{seen}"

    def gets(self, who: Who) -> Gets:
        if who is Who.ENGINE:
            return Gets.HIDDEN
        if who not in LEVELS:
            return Gets.UNKNOWN
        if who is Who.AUDIT and self.audited is not None:
            return self.audited
        return Gets.IN if who is Who.PLATFORM else self.others


@dataclass(frozen=True)
class Connected(Owned):
    """A VCS connection that names no role, so that nobody may use it but platform admins."""

    what: str = "a VCS connection"
    change: bool = True
    """Whether its roles are no help."""

    def words(self) -> str:
        if self.change:
            return "platform role `admin`"
        more = "; platform role `audit` may look" if self.audited is Gets.IN else ""
        return f"a role that the VCS connection names; platform role `admin`{more}"


@dataclass(frozen=True)
class Reached:
    """A variable set that reaches the workspace: who reads the workspace reads the set, and platform admins change it."""

    change: bool = False

    def words(self) -> str:
        if self.change:
            return "platform role `admin`"
        return "`read` on a workspace that the set reaches; the owner of its project; platform role `admin` or `audit`"

    def gets(self, who: Who) -> Gets:
        if who is Who.ENGINE:
            return Gets.HIDDEN
        if who not in LEVELS:
            return Gets.UNKNOWN
        if LEVELS[who] < Level.READ:
            return Gets.HIDDEN
        return Gets.IN if not self.change or who is Who.PLATFORM else Gets.FORBIDDEN


@dataclass(frozen=True)
class Pool(Reached):
    """An agent pool: who reads it sees what is in it, and platform admins change it. The walk's carries its label."""

    def words(self) -> str:
        return "platform role `admin`" if self.change else "`read` on the pool, by a role; platform role `admin` or `audit`"


@dataclass(frozen=True)
class Item(On):
    """Needs a permission on an item of the registry. The walk's carries its label, and its run is the platform admin's."""

    def words(self) -> str:
        engine = "; a run's engine, where those may who answer for the run" if self.engine else ""
        return f"`{NEEDS[self.permission].name.lower()}` on the item (`{self.permission}`){engine}"


@dataclass(frozen=True)
class NewName(Platform):
    """A new name in the registry. The walk's roles go by a label, which is no help there."""

    admin: bool = True

    def words(self) -> str:
        return "platform role `admin`; a role with the registry permission `admin` that allows the name"


@dataclass(frozen=True)
class Publisher(Reached):
    """For those whom an item names as its publishers: of the walk's, the platform admin who made it."""

    change: bool = True

    def words(self) -> str:
        return f"`write` on the item (`{Permission.REGISTRY_PUBLISH}`), by one of its publishers"


@dataclass(frozen=True)
class OtherPublisher(Publisher):
    """The same where even the platform admin who asks is another one than who made it."""

    def gets(self, who: Who) -> Gets:
        return Gets.FORBIDDEN if who is Who.PLATFORM else super().gets(who)


@dataclass(frozen=True)
class Listening:
    """For listeners, which hold nothing that others hold."""

    by: str

    def words(self) -> str:
        return f"a listener, {self.by}"

    def gets(self, who: Who) -> Gets:
        return Gets.UNKNOWN


@dataclass(frozen=True)
class Runner:
    """For the supervisor of one phase, and for that phase alone."""

    def words(self) -> str:
        return "the runner's supervisor of the phase, by its own token"

    def gets(self, who: Who) -> Gets:
        return Gets.IN if who is Who.SUPERVISOR else Gets.REFUSED


@dataclass(frozen=True)
class Actions:
    """Needs another permission for each action that the path can name."""

    permissions: Mapping[str, Permission]

    def words(self) -> str:
        return "; ".join(f"for `{action}` {On(permission).words()}" for action, permission in self.permissions.items())


@dataclass(frozen=True)
class Page:
    """A page for people: it asks a browser's session, never a token. `needs` is asked of who is signed in there."""

    needs: SignedIn | On | Owned | Platform | Reached | Actions

    def words(self) -> str:
        return f"a browser that is signed in; {self.needs.words()}"

    def gets(self, who: Who) -> Gets:
        """What a request without a session gets, whatever token it carries."""
        return Gets.UNKNOWN

    def shows(self, who: Who, action: str = "") -> Gets:
        """What this one's browser gets; `action` is that of the path, if `needs` asks for it."""
        if who not in LEVELS:
            return Gets.UNKNOWN
        needs = On(self.needs.permissions[action]) if isinstance(self.needs, Actions) else self.needs
        return needs.gets(who)


Needs = Open | SignedIn | On | Platform | Owned | Reached | Listening | Runner | Page


@dataclass(frozen=True)
class Row:
    """One route."""

    needs: Needs
    body: Any = None
    """What is sent, with the placeholders of `endpoints.World`; `None` takes what `endpoints.WRITING` sends."""
    query: Mapping[str, str] | None = None
    hidden: tuple[int, ...] = (404,)
    """What `Gets.HIDDEN` is here."""
    then: Mapping[str, str] = field(default_factory=dict)
    """What refuses those who pass the door of a page, as a pattern in the answer: by action, or under `""` for the only one."""


P = Permission
BY_NAME: Final = {"filter[organization][name]": "default", "filter[workspace][name]": "{name}"}
"""The filters that name the workspace of the walk."""


def read(permission: Permission, *, engine: bool = False) -> Row:
    """A route that only reads of the workspace."""
    return Row(On(permission, engine))
