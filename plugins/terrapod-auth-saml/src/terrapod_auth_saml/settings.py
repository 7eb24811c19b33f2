"""`[auth.saml]`, and `[auth.saml.providers.<name>]` for each of several."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from terrapod_auth_saml.description import describe
from terrapod_core.plugin import PluginSettings, setting, subsections

TAKEN = ("local", "service")
"""What the core calls users with a password, and service accounts."""

NameIDFormat = Literal["unspecified", "persistent", "email", "transient"]

EMAIL = ("email", "mail", "urn:oid:0.9.2342.19200300.100.1.3", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress")
USERNAME = ("username", "uid", "urn:oid:0.9.2342.19200300.100.1.1")
GROUPS = (
    "groups",
    "memberOf",
    "urn:oid:1.3.6.1.4.1.5923.1.5.1.1",
    "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups",
    "http://schemas.xmlsoap.org/claims/Group",
)


@dataclass(frozen=True, kw_only=True)
class IdentityProviderSettings:
    """One identity provider, and how its answers are read."""

    display_name: str = setting("", "What the button on the sign-in page says.", shown_default="the name")
    idp_metadata: str = setting(
        "", "The identity provider's metadata, as XML. It gives `idp_entity_id`, `idp_sso_url` and `idp_certificate`."
    )
    idp_metadata_file: Path | None = setting(None, "The file that holds `idp_metadata`.")
    idp_entity_id: str = setting("", "The identity provider's entity ID; with metadata of several, which of them.")
    idp_sso_url: str = setting("", "Where it signs people in: the single sign-on address of its HTTP-Redirect binding.")
    idp_certificate: str = setting("", "Its signing certificate in PEM; several when it is about to change.")
    idp_certificate_file: Path | None = setting(None, "The file that holds `idp_certificate`.")
    sp_entity_id: str = setting("", "This server's entity ID.", shown_default="the address of its metadata document")
    sp_key: str = setting("", "This server's RSA key in PEM: signs requests and reads encrypted assertions.", secret=True)
    sp_key_file: Path | None = setting(None, "The file that holds `sp_key`.")
    sp_certificate: str = setting("", "The certificate of `sp_key` in PEM, for the identity provider.")
    sp_certificate_file: Path | None = setting(None, "The file that holds `sp_certificate`.")
    name_id_format: NameIDFormat = setting("unspecified", "The form of NameID that is asked for, and then the only one taken.")
    subject_attribute: str = setting("", "The attribute that says who somebody is, for ever.", shown_default="the NameID")
    email_attributes: tuple[str, ...] = setting(EMAIL, "Attributes that hold the e-mail address; the first that is there counts.")
    username_attributes: tuple[str, ...] = setting(USERNAME, "Attributes that hold a user name to propose at a first sign-in.")
    groups_attributes: tuple[str, ...] = setting(GROUPS, "Attributes that hold the groups somebody is in.")
    trust_email: bool = setting(True, "Whether an e-mail address that this identity provider says counts as verified.")
    email_domains: tuple[str, ...] = setting((), "The only domains whose addresses count as verified.", shown_default="all")

    def __post_init__(self) -> None:
        self._check()

    def _check(self) -> None:
        """Raise `ValueError` with a sentence when a sign-in could never work, or would be unsafe."""
        for name in ("idp_metadata", "idp_certificate", "sp_key", "sp_certificate"):
            if getattr(self, name) and getattr(self, f"{name}_file") is not None:
                raise ValueError(f"{name} and {name}_file are both set; keep one")
        if self.name_id_format == "transient" and not self.subject_attribute:
            raise ValueError("a transient NameID is another at each sign-in; set subject_attribute to an attribute that stays")
        if not self.email_attributes:
            raise ValueError("email_attributes must name at least one attribute")
        if wrong := [domain for domain in self.email_domains if "@" in domain or not domain]:
            raise ValueError(f"email_domains holds domains such as example.com, not {wrong[0]!r}")
        describe("saml", self)


@dataclass(frozen=True, kw_only=True)
class SAMLSettings(IdentityProviderSettings, PluginSettings):
    """A single identity provider by plain keys, several by a section each; both together are fine, and so is none."""

    name: str = setting("saml", "What the identity provider of these plain keys is called in paths and role mappings.")
    providers: Mapping[str, IdentityProviderSettings] = subsections("Identity providers by name, each with the settings of a single one.")

    def __post_init__(self) -> None:
        if self._is_used():
            self._check()
            if self.name in self.providers:
                raise ValueError(f"{self.name} names the provider of the plain keys and one of [auth.saml.providers]; change name")
        for name in (self.name, *self.providers):
            if not re.fullmatch(r"[a-z][a-z0-9-]{0,39}", name):
                raise ValueError(f"{name} is no name of a provider: up to 40 lower-case letters, digits and dashes, first a letter")
            if name in TAKEN:
                raise ValueError(f"no provider may be called {name}: users of another kind have that name")

    def by_name(self) -> dict[str, IdentityProviderSettings]:
        """Every identity provider there is."""
        return {**({self.name: self} if self._is_used() else {}), **self.providers}

    def _is_used(self) -> bool:
        """Whether the plain keys describe an identity provider: one that is half described is a mistake, and not none."""
        texts = (self.idp_metadata, self.idp_entity_id, self.idp_sso_url, self.idp_certificate)
        return any(texts) or self.idp_metadata_file is not None or self.idp_certificate_file is not None
