"""From the row of a connection to a client of its forge, and from what goes wrong there to words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from terrapod_core.errors import Conflict, Invalid
from terrapod_core.outgoing import OutgoingError
from terrapod_core.plugin import VCSClient, VCSDenied, VCSFailed, VCSMissing, VCSProvider
from terrapod_core.plugin.vcs import Connection as Given
from terrapod_core.secrets import Keyring, SecretUnreadable
from terrapod_core.vcs.models import SECRETS, WEBHOOK_SECRET, Connection

LONGEST_REST: Final = 3600.0
"""Seconds."""


class TroubleKind(StrEnum):
    """What went wrong with a forge; also the codes of the conditions of workspaces."""

    DENIED = "vcs-denied"
    MISSING = "vcs-repository-missing"
    FAILED = "vcs-unreachable"
    GONE = "vcs-plugin-missing"


@dataclass(frozen=True)
class Trouble:
    """What went wrong, in a sentence."""

    kind: TroubleKind
    text: str
    retry_after: float | None = None
    """Seconds for which the forge wants to be left alone."""


class NoProvider(Conflict):
    """The plugin of a connection is not installed here any more."""


TROUBLES: Final = (VCSDenied, VCSMissing, VCSFailed, OutgoingError, TimeoutError, NoProvider, SecretUnreadable)
"""What comes out of a client, or of opening one, that is no fault of ours."""


def trouble_of(error: BaseException) -> Trouble | None:
    """What an error that came from a client means; `None` for one that is a fault of ours."""
    if isinstance(error, VCSDenied):
        return Trouble(TroubleKind.DENIED, str(error))
    if isinstance(error, VCSMissing):
        return Trouble(TroubleKind.MISSING, str(error))
    if isinstance(error, VCSFailed):
        return Trouble(TroubleKind.FAILED, str(error), _bounded(error.retry_after))
    if isinstance(error, OutgoingError):
        return Trouble(TroubleKind.FAILED, f"{error.host} {error.reason}")
    if isinstance(error, TimeoutError):
        return Trouble(TroubleKind.FAILED, str(error) or "the forge took too long")
    if isinstance(error, NoProvider | SecretUnreadable):
        return Trouble(TroubleKind.GONE, error.detail if isinstance(error, NoProvider) else str(error))
    return None


def _bounded(seconds: float | None) -> float | None:
    """What a forge says is no more than a wish: one that wants to be left alone for a year is asked again."""
    return None if seconds is None else min(LONGEST_REST, max(1.0, seconds))


def check_rest(connection: Connection, now: datetime) -> None:
    """Raises `VCSFailed` as long as the forge wants to be left alone by this connection."""
    left = (connection.rests_until - now).total_seconds() if connection.rests_until is not None else 0.0
    if left > 0:
        raise VCSFailed(f"the forge of {connection.name} has been asked too often, and is asked again in {left:.0f} s", retry_after=left)


class Forges:
    """The providers, and how their clients are opened."""

    def __init__(self, providers: Mapping[str, VCSProvider], keyring: Keyring) -> None:
        self.providers = providers
        self._keyring = keyring

    def provider(self, name: str) -> VCSProvider:
        """The provider of this name. Raises `NoProvider`."""
        found = self.providers.get(name)
        if found is None:
            raise NoProvider(f"no plugin for {name} is installed on this server; install terrapod-vcs-{name}, or delete the connection")
        return found

    def given(self, connection: Connection) -> Given:
        """What a provider gets to know of a connection, its secrets among it."""
        secrets = msgspec.json.decode(self._keyring.open(connection.secrets, column=SECRETS, row=connection.id), type=dict[str, str])
        return Given(connection.id, connection.base_url, {**connection.values, **secrets})

    def sealed(self, connection_id: str, secrets: Mapping[str, str]) -> bytes:
        """Secrets as they are stored."""
        return self._keyring.seal(msgspec.json.encode(dict(secrets)), column=SECRETS, row=connection_id)

    def sealed_webhook_secret(self, connection_id: str, secret: str) -> bytes:
        """Likewise."""
        return self._keyring.seal(secret.encode(), column=WEBHOOK_SECRET, row=connection_id)

    def webhook_secret(self, connection: Connection) -> str:
        """What signs the webhooks that name this connection."""
        return self._keyring.open(connection.webhook_secret, column=WEBHOOK_SECRET, row=connection.id).decode()

    @asynccontextmanager
    async def client(self, connection: Connection) -> AsyncIterator[VCSClient]:
        """A client for a while. What goes wrong inside has a `trouble_of`."""
        async with self.provider(connection.provider).client(self.given(connection)) as client:
            yield client


@contextmanager
def told(pointer: str | None = None) -> Iterator[None]:
    """Tell the person who named a connection or a repository, there in a document, what goes wrong with it: raises `Invalid`."""
    try:
        yield
    except TROUBLES as error:
        trouble = trouble_of(error)
        assert trouble is not None
        raise Invalid(trouble.text, pointer=pointer, code=trouble.kind.value) from None
