"""Tables: users, what they prove themselves with (tokens, sessions), and the halves of sign-ins that are under way."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.authz import Guard, GuardKind
from terrapod_core.db import Base, JSONValue, Sealed
from terrapod_core.secrets import SEALED

LOCAL: Final = "local"
"""Provider and issuer of users whose passwords are kept here."""

SERVICE: Final = "service"
"""Provider and issuer of service accounts, whom no provider signs in: programs with tokens alone."""

SERVICE_NAMES: Final = "service-account"
"""Kind of the names and addresses in `ReservedName` that deleted service accounts had."""

REMEMBERED: Final = "login_states.remembered"
"""What the sealed values of begun sign-ins authenticate as their place; it never changes."""

_IS_LOCAL: Final = text("provider = 'local'")
_IS_SERVICE: Final = text("provider = 'service'")


class User(Base):
    """A person, or a service account: (provider, issuer, subject). Equal e-mail addresses of two providers are two people."""

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("provider", "issuer", "subject"),
        Index("ix_users_email_key", "email_key"),
        # Local users sign in by their address, so among them it means one person.
        Index("uq_users_local_email", "email_key", unique=True, sqlite_where=_IS_LOCAL, postgresql_where=_IS_LOCAL),
        # Roles are assigned to service accounts by their address.
        Index("uq_users_service_email", "email_key", unique=True, sqlite_where=_IS_SERVICE, postgresql_where=_IS_SERVICE),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)
    email: Mapped[str]
    email_key: Mapped[str]
    """The address as it is compared: NFC, case folded."""
    email_verified: Mapped[bool] = mapped_column(default=False)
    """Whether whoever signs them in vouches for the address. Roles that were given to an address wait until it does."""
    provider: Mapped[str]
    """The auth provider's name, as `[auth.<name>]` configures it."""
    issuer: Mapped[str]
    subject: Mapped[str]
    password_hash: Mapped[str | None] = mapped_column(deferred=True, deferred_raiseload=True)
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime | None]
    roles_claimed_at: Mapped[datetime | None]
    """The last sign-in that said which groups they are in: their `ClaimedRole`s are as old. `None` for local users."""

    @property
    def is_local(self) -> bool:
        """Whether the password is kept here."""
        return self.provider == LOCAL

    @property
    def is_service_account(self) -> bool:
        """Whether it is a program, which has tokens and never signs in."""
        return self.provider == SERVICE


class TokenOrigin(StrEnum):
    """How a token came to be."""

    API = "api"
    WEB = "web"
    TERRAFORM_LOGIN = "terraform-login"
    COMMAND = "command"
    BOOTSTRAP = "bootstrap"


class APIToken(Base):
    """A token for programs. The text is shown once; kept is its keyed hash."""

    __tablename__ = "api_tokens"
    __table_args__ = (
        Index("ix_api_tokens_user", "user_id", "created_at"),
        Index("ix_api_tokens_parent_id", "parent_id"),
        Index("ix_api_tokens_origin", "origin", "user_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    hash: Mapped[str] = mapped_column(unique=True)
    hash_key: Mapped[str | None]
    """Id of the key that the hash was made under; `None` for one made before this was noted, until it is used again."""
    description: Mapped[str]
    origin: Mapped[str]
    parent_id: Mapped[str | None]
    """The token it was made with; it ends when that one ends."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    """`None` only for the token that the settings give."""
    last_used_at: Mapped[datetime | None]
    """At most a minute old."""
    revoked_at: Mapped[datetime | None]
    created_by_id: Mapped[str | None]
    """Who made it, when that was not the one it belongs to."""
    ceiling: Mapped[str | None]
    """The highest level that it gives (`read`, `plan`, `write`, `admin`); `None` gives whatever its user has."""
    workspace_ids: Mapped[list[str] | None] = mapped_column(JSONValue)
    """The workspaces that it is for; `None` for all."""


TOKEN_GUARD: Final = Guard(GuardKind.OWNED, APIToken.id, APIToken.user_id)
"""A token is its user's alone; platform admins and auditors see that it is there."""


class SignedIn(Base):
    """A session: one browser, or one program that signed in like one."""

    __tablename__ = "sessions"
    __table_args__ = (
        Index("ix_sessions_user", "user_id"),
        Index("ix_sessions_expires_at", "expires_at"),
        Index("ix_sessions_last_used_at", "last_used_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    hash: Mapped[str] = mapped_column(unique=True)
    hash_key: Mapped[str | None]
    """As of an API token."""
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    """At most a minute old."""
    expires_at: Mapped[datetime]
    """The end, however much it is used."""
    address: Mapped[str | None]
    user_agent: Mapped[str | None]

    def ends_at(self, idle: timedelta) -> datetime:
        """When it ends if nobody uses it."""
        return min(self.expires_at, self.last_used_at + idle)


class ComesBack(StrEnum):
    """How the browser returns from the first step of a sign-in."""

    FORM = "form"
    """With a form of a page of ours, or a program with the same fields; never by a link, which would hold a password."""
    LINK = "link"
    """By a plain redirect of another site."""
    POST = "post"
    """With a form of another site's page."""


class LoginState(Base):
    """A sign-in that was begun: which provider, in which browser, where to afterwards. Deleted when it comes back."""

    __tablename__ = "login_states"
    __table_args__ = (Index("ix_login_states_expires_at", "expires_at"),)

    hash: Mapped[str] = mapped_column(primary_key=True)
    browser: Mapped[str]
    """Hash of the cookie of the browser that began."""
    provider: Mapped[str]
    comes_back: Mapped[str]
    return_to: Mapped[str]
    callback_url: Mapped[str]
    remembered: Mapped[bytes | None] = mapped_column(Sealed)
    """What the provider wants back; sealed as `REMEMBERED`, for the row's hash."""
    expires_at: Mapped[datetime]


SEALED.add(LoginState, "remembered", REMEMBERED, row="{hash}")


class UsedOnce(Base):
    """Something that may be used once and was: the id of an assertion, until that would be refused for its age."""

    __tablename__ = "used_once"
    __table_args__ = (Index("ix_used_once_until", "until"),)

    hash: Mapped[str] = mapped_column(primary_key=True)
    until: Mapped[datetime]


class CodeKind(StrEnum):
    """What an authorization code may be exchanged for. One kind never becomes another."""

    TERRAFORM_LOGIN = "terraform-login"


class AuthorizationCode(Base):
    """What the browser carries to the waiting `terraform login`: good once, for a minute, for that client alone."""

    __tablename__ = "auth_codes"
    __table_args__ = (Index("ix_auth_codes_expires_at", "expires_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    hash: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    client_id: Mapped[str]
    redirect_uri: Mapped[str]
    challenge: Mapped[str]
    """base64url(SHA-256(verifier)), without padding."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    token_id: Mapped[str | None]
    """The token it became; a second use of the code revokes it."""
