"""Why an answer is not taken: one sentence for the person, another for the operator's log."""

from __future__ import annotations

from typing import Final

NOT_ACCEPTED: Final = "the identity provider's answer was not accepted; sign in again, and tell the operator of this server if it stays so"
TOO_LATE: Final = "the identity provider's answer is too old or too early; sign in again, and have the clocks compared if it stays so"
NOT_SIGNED_IN: Final = "the identity provider did not sign you in; try again, or ask its operator for access"
BEGIN_HERE: Final = "a sign-in begins on this server's sign-in page; begin again there"
NO_EMAIL: Final = "the identity provider sent no e-mail address for you; the operator of this server can set which attribute holds it"


class Refusal(Exception):
    """The answer is not taken.

    `detail` is for the operator's log and holds nothing of an answer whose signature is not verified yet; `reason` is what
    the person reads, and does not say which check failed.
    """

    def __init__(self, detail: str, reason: str = NOT_ACCEPTED) -> None:
        super().__init__(detail)
        self.detail = detail
        self.reason = reason


def shown(value: str | None) -> str:
    """A signed value in a log line: short, and on one line."""
    return "none" if value is None else ascii(value[:160])
