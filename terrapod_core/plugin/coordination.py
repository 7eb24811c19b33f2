"""How the processes of one installation wake each other, keep out of each other's way, and count together.

Nothing here is ever the truth: that is in the database. A wake-up that is lost makes somebody look later, by the clock; a lease
keeps two from doing the same work at once, and whatever must not be done twice is guarded by a row as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable


class CoordinationAway(Exception):
    """The service does not answer now. The text says why, and holds no secret."""


class Wakeup(NamedTuple):
    """Something has changed: look. It says where, never what."""

    topic: str
    """A word: ASCII letters, digits, `.` and `-`."""
    key: str = ""
    """The id of the thing, where it is about one: ASCII without spaces, 200 characters at most."""


@dataclass(frozen=True)
class Lease:
    """The right to a name for a while."""

    name: str
    holder: str
    """Of this lease alone; nobody else can guess it."""


Hear = Callable[[Wakeup], None]


@runtime_checkable
class CoordinationBackend(Protocol):
    """Connects processes that know nothing of each other but the service they share. Made without being asked to connect.

    No method waits long for a service that is away: each call has a limit of at most a second, and none is made while it is
    known to be away.
    """

    @property
    def name(self) -> str:
        """What the setting that turns it on calls it."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why wake-ups of others are not heard at the moment, in words without a secret; `None` while they are."""
        ...

    def start(self, hear: Hear, turned: Callable[[], None]) -> None:
        """Begin to listen, in the background; returns at once, also when the service is away.

        `hear` is called for each wake-up that another process tells, `turned` whenever `trouble` begins or ends: what was told
        meanwhile is lost. Both return at once. Comes back by itself, however long the service was away.
        """
        ...

    async def close(self) -> None:
        """Listen no more, and let go of every connection."""
        ...

    def publish(self, wakeups: Sequence[Wakeup]) -> None:
        """Tell all other processes, soon. Never waits and never fails; while the service is away, nobody is told."""
        ...

    async def acquire(self, name: str, seconds: float) -> Lease | None:
        """A lease of this name for so long, `None` while somebody else has it. Raises `CoordinationAway`.

        A holder that stops for longer than its lease may find that another has begun meanwhile, and a service that forgets
        (a restart) forgets leases: whoever holds one asks `renew` before each step that is dear.
        """
        ...

    async def renew(self, lease: Lease, seconds: float) -> bool:
        """Have it for so long from now on; `False` when it is over. Raises `CoordinationAway`."""
        ...

    async def release(self, lease: Lease) -> None:
        """Let another have it; one that is over already is released. Raises `CoordinationAway`."""
        ...


@runtime_checkable
class SupportsMetering(Protocol):
    """A backend that counts for all processes together. Without it each counts for itself."""

    async def take(self, key: str, per_second: float, burst: int) -> float:
        """Take one out of the bucket of this key, which fills evenly up to `burst`: 0.0, or the seconds until there is one.

        One exchange with the service. Raises `CoordinationAway`.
        """
        ...

    async def give_back(self, key: str, per_second: float, burst: int) -> None:
        """Take the latest back. Raises `CoordinationAway`."""
        ...
