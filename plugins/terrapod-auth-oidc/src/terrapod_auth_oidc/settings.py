"""`[auth.oidc]` and `[auth.oidc.providers.NAME]`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from msgspec import Meta

from terrapod_core.plugin import PluginSettings, setting, subsections

Algorithm: TypeAlias = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
ClientAuthentication: TypeAlias = Literal["client_secret_basic", "client_secret_post", "none"]

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
PUBLIC_CLIENT: Final = "none"
TAKEN: Final = ("local", "service")
"""What the core calls users with a password, and service accounts."""


@dataclass(frozen=True, kw_only=True)
class Instance:
    """One OpenID Connect provider that people may sign in through."""

    issuer: str = setting("", "URL of the provider, exactly as it writes its own name.")
    client_id: str = setting("", "What the provider calls this server.")
    client_secret: str | None = setting(None, "The secret that goes with `client_id`.", secret=True)
    client_secret_file: Path | None = setting(None, "A file that holds the secret, instead of `client_secret`.")
    token_endpoint_auth_method: ClientAuthentication | None = setting(
        None,
        "How the secret is sent; `none` is for a public client, which has no secret.",
        shown_default="the first of the two that the provider takes",
    )
    display_name: str | None = setting(None, "What the button on the sign-in page says.", shown_default="the name")
    scopes: tuple[str, ...] = setting(("openid", "email", "profile"), "Scopes to ask for; many providers need one more for groups.")
    email_claim: str = setting("email", "The claim with the e-mail address. A path has dots: `user.email`.")
    username_claim: str = setting("preferred_username", "The claim with a name to propose for a new user.")
    groups_claim: str = setting("groups", "The claim with the person's groups, as `groups` or `realm_access.roles`.")
    required_groups: tuple[str, ...] = setting((), "Only members of one of these groups may sign in.", shown_default="everybody may")
    trust_unverified_email: bool = setting(False, "Take an address for the person's own although the provider does not say so.")
    algorithms: tuple[Algorithm, ...] = setting(("RS256", "ES256", "PS256", "EdDSA"), "Signatures that an ID token may have.")
    audience: tuple[str, ...] = setting(
        (), "Others that an ID token may be for as well as for this server.", shown_default="anybody, when it was issued to this server"
    )
    userinfo: bool = setting(True, "Ask the provider's userinfo endpoint for claims that the ID token lacks.")
    prompt: Literal["none", "login", "consent", "select_account"] | None = setting(None, "What the provider is to ask the person.")
    max_age: Annotated[int, Meta(ge=0)] | None = setting(
        None, "Seconds after which a person must prove again to the provider who they are."
    )
    allow_plain_http: bool = setting(False, "Talk to the provider without TLS; anybody on the way can sign in as anybody.")
    timeout_seconds: Annotated[float, Meta(ge=0.1, le=60)] = setting(10.0, "How long the provider may take for one answer.")

    def __post_init__(self) -> None:
        self._check()

    def _check(self) -> None:
        """Raise `ValueError` with a sentence when a sign-in could never work, or would be unsafe."""
        for name in ("issuer", "client_id"):
            if not getattr(self, name):
                raise ValueError(f"{name} is missing")
        check_endpoint("issuer", self.issuer, plain_http=self.allow_plain_http)
        if urlsplit(self.issuer).query:
            raise ValueError("issuer must be a URL without a query")
        self._check_secret()
        if "openid" not in self.scopes:
            raise ValueError("scopes must hold openid")
        if any(not re.fullmatch(r"[!#-\[\]-~]+", scope) for scope in self.scopes):
            raise ValueError("scopes must be words without spaces, quotes or backslashes")
        if not self.algorithms:
            raise ValueError("algorithms must name at least one")
        for name in ("email_claim", "username_claim", "groups_claim"):
            if not getattr(self, name):
                raise ValueError(f"{name} must name a claim")

    def _check_secret(self) -> None:
        if self.client_secret_file is not None:
            if self.client_secret:
                raise ValueError("client_secret and client_secret_file are both set; keep one")
            object.__setattr__(self, "client_secret", _content(self.client_secret_file))
        public = self.token_endpoint_auth_method == PUBLIC_CLIENT
        if public and self.client_secret:
            raise ValueError("token_endpoint_auth_method is none, so there must be no client_secret")
        if not public and not self.client_secret:
            raise ValueError("client_secret is missing; a public client says so by token_endpoint_auth_method = none")


@dataclass(frozen=True, kw_only=True)
class OIDCSettings(Instance, PluginSettings):
    """A single provider by plain keys, several by a section each; both together are fine, and so is none."""

    name: str = setting("oidc", "What the provider of these plain keys is called in paths and role mappings.")
    providers: Mapping[str, Instance] = subsections("Providers by name, each with the same settings as a single one.")

    def __post_init__(self) -> None:
        if self._is_used():
            self._check()
            if self.name in self.providers:
                raise ValueError(f"{self.name} names the provider of the plain keys and one of [auth.oidc.providers]; change name")
        for name in (self.name, *self.providers):
            if not re.fullmatch(r"[a-z][a-z0-9-]{0,39}", name):
                raise ValueError(f"{name} is no name of a provider: up to 40 lower-case letters, digits and dashes, first a letter")
            if name in TAKEN:
                raise ValueError(f"no provider may be called {name}: users of another kind have that name")

    def instances(self) -> dict[str, Instance]:
        """Every provider by its name."""
        return {**({self.name: self} if self._is_used() else {}), **self.providers}

    def _is_used(self) -> bool:
        """Whether the plain keys describe a provider: one that is half described is a mistake, and not none."""
        return any(getattr(self, each.name) != each.default for each in fields(Instance))


def check_endpoint(name: str, url: str, *, plain_http: bool) -> None:
    """`ValueError` unless `url` may be asked: https, or http to this machine or where the operator accepts it."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{name} is no URL") from None
    if parts.scheme not in ("https", "http") or not host or parts.username is not None or parts.fragment or not url.isprintable():
        raise ValueError(f"{name} must be an absolute https:// URL without user or fragment")
    if parts.scheme == "http" and not plain_http and host not in LOOPBACK:
        raise ValueError(f"{name} must begin with https://; allow_plain_http = true accepts that anybody on the way can sign in as anybody")


def _content(path: Path) -> str:
    try:
        found = path.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"client_secret_file names {path}, which cannot be read: {error}") from None
    if not found:
        raise ValueError(f"client_secret_file names {path}, which is empty")
    return found
