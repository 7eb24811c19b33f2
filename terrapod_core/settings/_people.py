"""The sections about people: the first admin, sign-in, tokens, and what they may make."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from terrapod_core.settings._fields import setting, table
from terrapod_core.settings._numbers import Positive

RoleMapping: TypeAlias = Mapping[str, Mapping[str, tuple[str, ...]]]


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """The first admin; applying it again changes nothing."""

    admin_email: str | None = setting(None, "E-mail address of the first admin.", shown_default="admin@localhost, when there is no user")
    admin_password: str | None = setting(None, "Their password.", secret=True, shown_default="made and printed once")
    admin_token: str | None = setting(None, "A fixed API token of theirs, at least 32 characters, for automation.", secret=True)

    def __post_init__(self) -> None:
        if self.admin_token is not None and not re.fullmatch(r"[!-~]{32,}", self.admin_token):
            raise ValueError("admin_token must be at least 32 visible ASCII characters without spaces")
        if self.admin_email is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+", self.admin_email):
            raise ValueError("admin_email must be an e-mail address")


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """API tokens."""

    default_days: Positive = setting(365, "Lifetime of a token made without one.")
    max_days: Positive = setting(730, "The longest lifetime one may ask for.")
    reauthenticate_days: Positive = setting(30, "A session makes a token that is good for longer only soon after its sign-in.")
    reauthenticate_minutes: Positive = setting(15, "How long after its sign-in a session may do that.")

    def __post_init__(self) -> None:
        if self.default_days > self.max_days:
            raise ValueError(f"default_days ({self.default_days}) must not be more than max_days ({self.max_days})")


@dataclass(frozen=True, kw_only=True)
class Sessions:
    """Sign-ins in a browser."""

    idle_hours: Positive = setting(12, "A session ends when it was not used for so long.")
    max_days: Positive = setting(7, "A session ends after this in any case.")
    allow_plain_http: bool = setting(False, "Let people on other machines sign in without TLS; anybody on the way can read along.")


@dataclass(frozen=True, kw_only=True)
class Auth:
    """Signing in through auth providers."""

    role_mapping: RoleMapping = table(
        "Roles that a provider's groups give: provider, then group, then a list of roles. They last until the next sign-in.",
    )
    max_role_age_hours: Positive = setting(24, "Roles that groups gave end when their user did not sign in for so long.")
    unseen_token_days: Positive = setting(30, "API tokens of a user of another provider rest when the user did not sign in for so long.")
    timeout_seconds: Annotated[float, Meta(ge=0.1, le=120)] = setting(15, "How long a provider may take for one step of a sign-in.")
    allow_new_users: Literal["everyone", "assigned"] = setting(
        "everyone", "Who may sign in for the first time: whom a provider knows, or only whom a role was assigned or mapped to."
    )

    def __post_init__(self) -> None:
        for provider, groups in self.role_mapping.items():
            for group, roles in groups.items():
                if not provider or not group or not all(roles):
                    raise ValueError('role_mapping has an empty name in it; write [auth.role_mapping.okta] and "a group" = ["a role"]')


@dataclass(frozen=True, kw_only=True)
class Workspaces:
    """Rules for workspaces."""

    create: tuple[str, ...] = setting(
        ("everyone",), "Who may create workspaces beside platform admins: `everyone`, `admins` for nobody else, or names of roles."
    )
