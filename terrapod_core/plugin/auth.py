"""Who signs in, said by somebody whom the operator trusts with it.

A sign-in has two steps. `begin` answers what the browser sees: a form, or another site's page. `finish` gets what came
back and says who it was. Sessions, tokens, roles and disabled users are the core's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable


class ProviderUnavailable(Exception):
    """The other side is down, too slow, or answers what makes no sense: nothing was judged, and the attempt does not count.

    `reason` is shown to the person after the provider's name, and to the operator in the log; it holds no secret and no
    part of an answer. People sign in another way, or try again.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LoginRefused(Exception):
    """Not signed in. `reason` is shown to the person, so it does not say which part of the sign-in was wrong.

    `retry_after`, in seconds, says that nothing was judged yet: the provider is too busy, and the attempt does not count.
    """

    def __init__(self, reason: str, *, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class PasswordRefused(Exception):
    """A password that may not be set. `reason` is shown to the person and never repeats the password."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class LoginRequest:
    """Somebody wants to sign in."""

    state: str
    """Unguessable, made by the core and bound to this browser; must come back in the callback."""
    callback_url: str
    """Absolute; where the other site, or the form, sends the browser."""
    return_to: str
    """Path in this server where the person goes afterwards; the core checked it."""


@dataclass(frozen=True)
class FormField:
    """One line of a sign-in form."""

    name: str
    label: str
    kind: Literal["text", "email", "password"] = "text"
    autocomplete: str | None = None
    """The HTML attribute, which tells password managers what this is."""


@dataclass(frozen=True)
class Form:
    """The sign-in page shows these fields and posts them to the callback."""

    fields: tuple[FormField, ...]


@dataclass(frozen=True)
class Redirect:
    """The browser goes to another site, which sends it back to the callback."""

    url: str
    remember: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What `finish` needs and the browser must not choose (a nonce, a verifier, the id of a request): kept sealed, given back once."""
    returns_by_post: bool = False
    """The other site sends the browser back with a form of its own, as SAML's POST binding does; else by a plain redirect."""


@dataclass(frozen=True)
class Callback:
    """What came back: the form's fields or the query of the URL. The core has compared `state` with the browser's."""

    values: Mapping[str, str] = field(repr=False)
    """Without the state, under whatever name it came (`state`, or SAML's `RelayState`)."""
    state: str
    callback_url: str = ""
    """The same as in the `LoginRequest` that this answers."""
    remembered: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What `begin` asked to remember."""


@dataclass(frozen=True)
class Identity:
    """Who it was. `issuer` and `subject` together never mean anybody else, and stay when e-mail and name change."""

    subject: str
    issuer: str
    email: str
    email_verified: bool
    username: str | None = None
    """A proposal for a first sign-in; `None` lets the core make one of the e-mail address."""
    groups: frozenset[str] = frozenset()
    """Names of the provider's own groups. They give nothing by themselves: the operator maps them."""


@runtime_checkable
class AuthProvider(Protocol):
    """Knows how to find out who somebody is."""

    @property
    def name(self) -> str:
        """Part of the sign-in's path: lower-case letters, digits and `-`."""
        ...

    @property
    def display_name(self) -> str:
        """What the button says."""
        ...

    async def begin(self, login: LoginRequest) -> Redirect | Form:
        """What the browser is shown first. A redirect's URL carries `login.state`. Raises `ProviderUnavailable`."""
        ...

    async def finish(self, callback: Callback) -> Identity:
        """Who signed in; raises `LoginRefused`, also when values are missing or are not of the expected form.

        `ProviderUnavailable` says that it could not be judged.
        """
        ...


@runtime_checkable
class SupportsMetadata(Protocol):
    """An auth provider whose other side wants a document about this server, as SAML's identity providers do."""

    def metadata(self, callback_url: str) -> tuple[str, bytes]:
        """Content type and bytes of the document, served to anybody at `/api/v2/auth/providers/<name>/metadata`."""
        ...


class OnceStore(Protocol):
    """Remembers, for all servers of the installation, what may be used a single time."""

    async def claim(self, key: str, until: datetime) -> bool:
        """`True` for the first who claims this key; `False` for everybody after, until then. `key` is the plugin's own, any text."""
        ...


@runtime_checkable
class SupportsPasswords(Protocol):
    """An auth provider that checks passwords which the core keeps for it. It signs in users under its own name.

    The `Identity` it answers has its name as `issuer` and `StoredPassword.user_id` as `subject`.
    """

    async def hash_password(self, password: str, *, known: Sequence[str] = ()) -> str:
        """What is stored in the place of `password`; raises `PasswordRefused` for one that is too easy to guess.

        `known` are words that a guesser would try first: the user's e-mail address and name.
        """
        ...


@dataclass(frozen=True)
class StoredPassword:
    """The password of a local user, as the core keeps it."""

    user_id: str
    email: str
    username: str
    hash: str = field(repr=False)
    """As the provider made it, parameters included."""


class PasswordStore(Protocol):
    """Where a provider of passwords keeps them: in the core's own table of users."""

    async def find(self, email: str) -> StoredPassword | None:
        """The password of the user with this e-mail address, whatever its case.

        `None`: no such user, or one without a password. A disabled user's is returned; the core refuses them after.
        """
        ...

    async def save(self, user_id: str, new_hash: str) -> None:
        """Replace a user's hash, for instance by one with today's parameters; `KeyError` when the user is gone."""
        ...
