"""How long the database may keep somebody waiting, and what they are told when it does.

PostgreSQL ends what takes too long by itself: each connection is opened with these bounds. Work in the background is under the
bound on locks alone, because a batch of old rows or a backup may well take minutes (`patient`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.exc import DBAPIError, TimeoutError as PoolTimeout

from terrapod_core.errors import Unavailable

RETRY_AFTER: Final = 2

_PATIENT: ContextVar[bool] = ContextVar("patient", default=False)


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """All in seconds."""

    statement: int = 30
    """One statement of a request."""
    lock: int = 10
    """One wait for a row that another transaction holds."""
    idle: int = 60
    """A transaction in which nothing happens: whoever began it hangs, and holds its locks."""
    connection: int = 20
    """A wait for a free connection, and for a new one to open."""

    def connect_arguments(self) -> dict[str, Any]:
        """What asyncpg opens a connection with."""
        named = {
            "application_name": "terrapod",
            "statement_timeout": self.statement,
            "lock_timeout": self.lock,
            "idle_in_transaction_session_timeout": self.idle,
        }
        settings = {name: value if isinstance(value, str) else f"{value}s" for name, value in named.items()}
        return {"timeout": self.connection, "server_settings": settings}

    def refusal(self, error: Exception) -> Unavailable | None:
        """What a failure of the database says of a bound; `None` when it was no bound. Nothing was changed in either case."""
        if isinstance(error, PoolTimeout):
            return _refusal("database_busy", f"no connection to the database was free for {self.connection} seconds; try again in a moment")
        state = str(getattr(error.orig, "sqlstate", "") or "") if isinstance(error, DBAPIError) else ""
        if state == "57014" or (isinstance(error, DBAPIError) and str(error.orig) == "interrupted"):
            return _refusal(
                "statement_timeout",
                f"the database was asked for more than it can do in {self.statement} seconds, and nothing was changed; ask for less "
                "(a smaller page, a narrower filter), or try again when it has less to do",
            )
        if state == "55P03":
            return _refusal(
                "lock_timeout",
                f"another change held what this one needs for longer than {self.lock} seconds, and nothing was changed; try again",
            )
        if state in ("40001", "40P01"):
            return _refusal("lock_timeout", "this change and another one waited for each other, and nothing was changed; try again")
        return None


def _refusal(code: str, detail: str) -> Unavailable:
    return Unavailable(detail, code=code, retry_after=RETRY_AFTER)


@contextmanager
def patient() -> Iterator[None]:
    """Within: statements may take as long as they take, and transactions may pause. For work that nobody waits for at a socket."""
    token = _PATIENT.set(True)
    try:
        yield
    finally:
        _PATIENT.reset(token)


def is_patient() -> bool:
    """Whether this is such work."""
    return _PATIENT.get()


UNBOUNDED: Final = "SELECT set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)"
"""Lifts the bounds of one transaction, in one round trip."""
