"""What goes wrong on the way out. The texts name the host and the reason; never a path, a query, a body or a credential.

    OutgoingError
    ├── OutgoingRefused      the address may not be asked: it is ours to refuse
    ├── OutgoingUnreachable  nobody answered there, or not in HTTP, or without a certificate that holds
    ├── OutgoingTimeout      the answer took longer than it may
    └── OutgoingTooLarge     the answer is larger than it may be

The clients raise classes that are these *and* `httpx.TransportError`, so that code made for httpx handles them too.
"""

from __future__ import annotations


class OutgoingError(Exception):
    """A request to another server failed. `str()` of it may be shown to the user who named the address."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(f"{host}: {reason}")
        self.host = host
        """As it was named; a port only when it matters."""
        self.reason = reason
        """The rest of a sentence: `is not a public address`."""


class OutgoingRefused(OutgoingError):
    """This server does not ask that address, whoever answers there."""


class OutgoingUnreachable(OutgoingError):
    """There is no connection, no certificate that holds, or no HTTP."""


class OutgoingTimeout(OutgoingError):
    """The answer was not whole in time."""


class OutgoingTooLarge(OutgoingError):
    """The answer is larger than it may be; what was read of it is gone."""
