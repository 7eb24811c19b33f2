"""Whether a connection from the pool still leads to the database, without asking the database each time.

SQLAlchemy's own question costs three round trips before every transaction. A server that ended closed its side, which the driver
knows at once; a network that fell silent is found by asking, and that is needed only after a pause.
"""

from __future__ import annotations

import time
from typing import Any, Final

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError, InvalidatePoolError

PAUSE: Final = 10.0
"""Seconds without use after which the database is asked."""

_USED: Final = "terrapod.used"


def watch(engine: Engine) -> None:
    """Let this engine's pool give out connections that live; those that do not are replaced unseen."""

    @event.listens_for(engine, "checkin")
    def used(_connection: Any, record: Any) -> None:
        record.info[_USED] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def wanted(connection: Any, record: Any, _proxy: Any) -> None:
        if connection.driver_connection.is_closed():
            raise DisconnectionError("the database closed the connection")
        if time.monotonic() - record.info.get(_USED, time.monotonic()) < PAUSE:
            return
        try:
            connection.ping()
        except Exception as error:
            raise InvalidatePoolError("the database does not answer on this connection") from error
