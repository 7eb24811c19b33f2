"""What a plugin may ask of the running server: who calls, the public API in process, workspaces, and tables of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, runtime_checkable

from terrapod_core.errors import TerrapodError
from terrapod_core.plugin.events import Event

if TYPE_CHECKING:
    from sqlalchemy.orm import DeclarativeBase, Session

T = TypeVar("T")
M = TypeVar("M", bound="DeclarativeBase")

LEVELS: Final = ("none", "read", "plan", "write", "admin")
"""Of rights on a workspace, each with all before it."""


@dataclass(frozen=True)
class Caller:
    """Somebody with rights, as they are at this moment. Made by the server alone; a plugin hands it back, and keeps the `id`."""

    id: str
    """A user's id, or that of another kind of party (a listener, a phase)."""
    name: str
    is_user: bool
    """Only a user can be remembered."""
    is_platform_admin: bool
    """Whether it may do everything: an admin whose token is not narrowed."""
    actor: Any = field(repr=False, compare=False)
    """The server's own view of them, for the server."""


class Callers(Protocol):
    """Who asks, and in whose name a plugin may act later."""

    async def current(self) -> Caller:
        """Whoever sent the request being served; raises `Unauthorized` when no valid token came with it."""
        ...

    async def remembered(self, user_id: str) -> Caller | None:
        """A user for whom `Change.remember` was called, with the rights they have now.

        `None` when they are disabled or gone, and for whoever was never remembered: a plugin cannot act for anybody it likes.
        """
        ...


class APIRefused(TerrapodError):
    """The server's API refused a request of a plugin; `http_status` is that of its answer, the detail its words."""

    status = 502
    title = "refused by the server's API"

    def __init__(self, http_status: int, detail: str, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.http_status = http_status


class ServerAPI(Protocol):
    """The public HTTP API without the network: same gate, same errors, same audit, in the name of a `Caller`.

    Paths begin with `/api/v2/`; documents are JSON:API. Raises `APIRefused` for every answer of 400 and more.
    """

    async def get(self, path: str, *, as_: Caller) -> dict[str, Any]:
        """The document at a path, with its query."""
        ...

    async def post(self, path: str, document: Mapping[str, Any] | None = None, *, as_: Caller) -> dict[str, Any]:
        """The answer to a document; `{}` when the answer has none. A run that is made so has the plugin's name as its trigger reason."""
        ...

    async def patch(self, path: str, document: Mapping[str, Any], *, as_: Caller) -> dict[str, Any]:
        """The same, to change something."""
        ...


@dataclass(frozen=True)
class WorkspaceFacts:
    """What a plugin may know of a workspace without asking the API."""

    id: str
    name: str
    level: str = "none"
    """The caller's, one of `LEVELS`; `none` where nobody in particular asked."""
    locked: bool = False
    execution_mode: str = "remote"

    def may(self, level: str) -> bool:
        """Whether the caller has that level, or a higher one."""
        return LEVELS.index(self.level) >= LEVELS.index(level)


class WorkspaceLookup(Protocol):
    """Many workspaces with one query. Without `as_` of any, whoever may see them; with it those that the caller may read."""

    async def by_id(self, ids: Iterable[str], *, as_: Caller | None = None) -> dict[str, WorkspaceFacts]:
        """Those that are there, by id."""
        ...

    async def by_name(self, names: Iterable[str], *, as_: Caller | None = None) -> dict[str, WorkspaceFacts]:
        """Those that are there, by name."""
        ...

    async def all(self, *, as_: Caller | None = None) -> list[WorkspaceFacts]:
        """Every one, by name."""
        ...


class ReadBody(Protocol):
    """Reads what came with the request being served."""

    async def __call__(self, limit: int, what: str = "request body") -> bytes:
        """All of it, in memory. Raises `TooLarge` as soon as it is known to have more bytes than `limit`, so that never more are held."""
        ...


class ForeignTable(RuntimeError):
    """A plugin asked for a table that is not its own."""


class Change(Protocol):
    """One transaction over the plugin's tables. Leaving it without `commit()` changes nothing."""

    def add(self, *rows: Any) -> None:
        """Insert these rows of the plugin's models."""
        ...

    async def run(self, query: Callable[[Session], T]) -> T:
        """Run a function over a session that knows the plugin's tables alone: another table is a `ForeignTable`."""
        ...

    def now(self) -> datetime:
        """The present moment, by the server's clock."""
        ...

    def emit(self, event: Event) -> None:
        """Tell everybody who listens, after the commit and at least once."""
        ...

    def audit(self, caller: Caller | None, action: str, kind: str, id_: str, **detail: Any) -> None:
        """Note in the audit record who did what to which thing; `None` is the server itself. Never a secret."""
        ...

    async def remember(self, caller: Caller) -> None:
        """Let the plugin act for this user from now on, for as long as they exist. Raises `Forbidden` for anybody but a user."""
        ...

    async def commit(self) -> None:
        """Make it so."""
        ...


class PluginTables(Protocol):
    """The tables that the `base` of the plugin's `Migrations` declares. Raises `Unavailable` when the database is away."""

    async def read(self, query: Callable[[Session], T]) -> T:
        """Run a function over a session that only reads; what it returns must be loaded whole."""
        ...

    async def one(self, model: type[M], key: str | int) -> M | None:
        """The row with this primary key, of no session, at a tenth of what `read` costs: for what is asked with every request."""
        ...

    def change(self) -> AbstractAsyncContextManager[Change]:
        """Begin a transaction. Keep it short, and never ask the API within one: on SQLite there is one writer."""
        ...


@dataclass(frozen=True)
class PluginCondition:
    """Something that is wrong with a workspace, in words for the person who has to deal with it."""

    code: str
    """Begins with the plugin's name and a dash: `sync-failed`."""
    detail: str
    remedy: str
    severity: str = "warning"
    """`warning`, or `error` where going on without a look may do harm."""
    since: datetime | None = None
    run_id: str | None = None


@dataclass(frozen=True)
class WorkspaceAddition:
    """What a plugin adds to one workspace."""

    attributes: Mapping[str, Any] = field(default_factory=dict)
    """JSON values, whose names begin with the plugin's and a dash: `sync-status`."""
    conditions: Sequence[PluginCondition] = ()
    """What is wrong; two of one code are shown both."""


@runtime_checkable
class WorkspaceAdditions(Protocol):
    """What a plugin adds to workspaces wherever they are shown. Asked once for all of a page; may look into its own tables.

    One that raises, or takes longer than two seconds, adds nothing that time, and the log says so.
    """

    @property
    def name(self) -> str:
        """The plugin's name."""
        ...

    async def of(self, workspaces: Sequence[WorkspaceFacts]) -> Mapping[str, WorkspaceAddition]:
        """By workspace id, for those to which something is added."""
        ...
