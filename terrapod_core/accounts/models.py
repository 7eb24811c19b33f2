"""Tables: users, what they prove themselves with (tokens, sessions), and the halves of sign-ins that are under way."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from terrapod_core.db import Base

LOCAL: Final = "local"
"""Provider and issuer of users whose passwords are kept here."""

_IS_LOCAL: Final = text("provider = 'local'")


class User(Base):
    """A person: (provider, issuer, subject). Equal e-mail addresses of two providers are two people."""

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("provider", "issuer", "subject"),
        Index("ix_users_email_key", "email_key"),
        # Local users sign in by their address, so among them it means one person.
        Index("uq_users_local_email", "email_key", unique=True, sqlite_where=_IS_LOCAL, postgresql_where=_IS_LOCAL),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)
    email: Mapped[str]
    email_key: Mapped[str]
    """The address as it is compared: NFC, case folded."""
    provider: Mapped[str]
    """The auth provider's name, as `[auth.<name>]` configures it."""
    issuer: Mapped[str]
    subject: Mapped[str]
    password_hash: Mapped[str | None] = mapped_column(deferred=True, deferred_raiseload=True)
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime | None]

    @property
    def is_local(self) -> bool:
        """Whether the password is kept here."""
        return self.provider == LOCAL


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
    __table_args__ = (Index("ix_api_tokens_user", "user_id", "created_at"), Index("ix_api_tokens_parent_id", "parent_id"))

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    hash: Mapped[str] = mapped_column(unique=True)
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


class SignedIn(Base):
    """A session: one browser, or one program that signed in like one."""

    __tablename__ = "sessions"
    __table_args__ = (Index("ix_sessions_user", "user_id"), Index("ix_sessions_expires_at", "expires_at"))

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    hash: Mapped[str] = mapped_column(unique=True)
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


class LoginState(Base):
    """A sign-in that was begun: which provider, in which browser, where to afterwards. Deleted when it comes back."""

    __tablename__ = "login_states"
    __table_args__ = (Index("ix_login_states_expires_at", "expires_at"),)

    hash: Mapped[str] = mapped_column(primary_key=True)
    browser: Mapped[str]
    """Hash of the cookie of the browser that began."""
    provider: Mapped[str]
    return_to: Mapped[str]
    expires_at: Mapped[datetime]


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
