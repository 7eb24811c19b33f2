"""What can go wrong in a phase, from the phase's point of view.

PhaseFailed   the phase ends `errored`; the message is for the person who reads the run
Interrupted   somebody cancelled; the phase ends `canceled`
PhaseGone     the phase is not ours any more; stop, deposit the state held, report nothing
Refused       the server gave a permanent no to one request
NotFetched    a file could not be had that a phase may do without
"""

from __future__ import annotations


class PhaseFailed(Exception):
    """The phase cannot succeed. `said` is true when the log tells the reason already; `exit_code` is the engine's, if it ran."""

    def __init__(self, message: str, *, said: bool = False, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.said = said
        self.exit_code = exit_code


class Interrupted(Exception):
    """The phase was cancelled. `exit_code` is the engine's, or `None` when it had not been started."""

    def __init__(self, message: str = "The run was canceled.", *, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


class PhaseGone(Exception):
    """The server no longer knows the phase as ours. `lost` tells a lost lease (state may still be deposited) from an unknown phase."""

    def __init__(self, message: str, *, lost: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.lost = lost


class Refused(Exception):
    """A 4xx that no retry will change. `size` is the `meta.size` of a refused log append."""

    def __init__(self, status: int, detail: str, *, size: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.size = size


class NotFetched(Exception):
    """A file that a link leads to could not be had. The text is for a person, and holds no link."""
