"""Acting as an app: a JWT that its key signs, and what GitHub gives for that, the token of an installation, good for an hour.

Source: GitHub's documentation, "Authenticating as a GitHub App" and "Authenticating as a GitHub App installation".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from gidgethub.apps import get_jwt

from terrapod_core.plugin import Clock, Unreadable

EARLY: Final = timedelta(minutes=5)
"""How long before its end a token is no longer handed out: what is begun with it also ends with it."""


@dataclass(frozen=True)
class App:
    """What a connection says of its app."""

    id: str
    installation: str
    private_key: str = field(repr=False)
    """PEM, of RSA."""

    @classmethod
    def of(cls, values: Mapping[str, str]) -> App | None:
        """`None` for a connection with a token. Raises `Unreadable` for what is neither, or both."""
        given = {name: values.get(name, "") for name in ("github-app-id", "github-installation-id", "private-key")}
        if values.get("token"):
            if any(given.values()):
                raise Unreadable("A connection to GitHub has a token, or an app with its private key; not both.", "token")
            return None
        if not any(given.values()):
            raise Unreadable("A connection to GitHub needs an app (its id, its installation's id, its private key) or a token.")
        for name, value in given.items():
            if not value:
                raise Unreadable(f"A connection to GitHub with an app needs {name} too.", name)
            if name != "private-key" and not (value.isascii() and value.isdecimal()):
                raise Unreadable(f"{name} is a whole number, as GitHub shows it.", name)
        return cls(*given.values())

    def check_key(self) -> None:
        """Raises `Unreadable` for a key that cannot sign for an app."""
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            key = load_pem_private_key(self.private_key.encode(), None)
        except (ValueError, TypeError):
            raise Unreadable(
                "private-key is no private key in PEM without a password, as GitHub gives it for download.", "private-key"
            ) from None
        if not isinstance(key, RSAPrivateKey):
            raise Unreadable("private-key is no key of RSA, as the keys of GitHub's apps are.", "private-key")

    async def jwt(self) -> str:
        """Says for ten minutes that we are the app. Signing takes a while, so a thread does it."""
        return await asyncio.to_thread(get_jwt, app_id=self.id, private_key=self.private_key)


@dataclass(frozen=True)
class Token:
    """Of an installation."""

    value: str = field(repr=False)
    until: datetime


class InstallationTokens:
    """The token of one installation, kept until shortly before its end; asked for once, however many want it."""

    def __init__(self, renew: Callable[[], Awaitable[Token]], clock: Clock) -> None:
        self._renew = renew
        self._clock = clock
        self._token: Token | None = None
        self._renewing: asyncio.Task[Token] | None = None

    async def get(self) -> str:
        """One that is good for some minutes at least. Raises what renewing does."""
        if self._token is not None and self._clock.now() < self._token.until - EARLY:
            return self._token.value
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renewed(), name="token of a GitHub App's installation")
            self._renewing.add_done_callback(self._done)
        return (await asyncio.shield(self._renewing)).value

    def forget(self, value: str) -> None:
        """GitHub does not take it any more."""
        if self._token is not None and self._token.value == value:
            self._token = None

    async def _renewed(self) -> Token:
        self._token = await self._renew()
        return self._token

    def _done(self, task: asyncio.Task[Token]) -> None:
        self._renewing = None
        if not task.cancelled():
            task.exception()  # those who wait have it; nobody may be left who does
