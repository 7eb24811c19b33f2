"""How a request to the server may fail, drawn once."""

from __future__ import annotations


class Away(Exception):
    """The server did not answer, or cannot for the moment: the same is asked again later."""

    def __init__(self, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        """Seconds that the server asked for; `None` leaves it to us."""


class Refused(Exception):
    """The server said no to this one request; the text is its own."""

    def __init__(self, status: int, code: str | None, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code


class Ended(Exception):
    """The server believes this listener no more: it was revoked or removed, or said that it leaves."""
