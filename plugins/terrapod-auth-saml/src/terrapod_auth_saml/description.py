"""What is known of an identity provider: from its metadata, or from single settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from lxml import etree

from terrapod_auth_saml.keys import Certificate, OwnKey, certificates, own_key
from terrapod_auth_saml.refusal import Refusal
from terrapod_auth_saml.xml import DS, HTTP_REDIRECT, MD, Element, read

if TYPE_CHECKING:
    from terrapod_auth_saml.settings import IdentityProviderSettings

MOST_METADATA: Final = 32 * 1024 * 1024
"""Federations publish all their members in one file."""
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Description:
    """One identity provider, and the key that this server shows it."""

    name: str
    display_name: str
    entity_id: str
    sso_url: str
    certificates: tuple[Certificate, ...]
    own_key: OwnKey | None


def describe(name: str, settings: IdentityProviderSettings) -> Description:
    """What the settings say. Raises `ValueError` with a sentence that names the setting."""
    entity_id, sso_url, signing = settings.idp_entity_id, settings.idp_sso_url, _given(settings, "idp_certificate")
    metadata = _given(settings, "idp_metadata")
    if metadata:
        known = _from_metadata(metadata, entity_id)
        entity_id, sso_url, signing = known.get("entityID", ""), sso_url or _sso(known), signing or _signing(known)
    for setting, value in (("idp_entity_id", entity_id), ("idp_sso_url", sso_url), ("idp_certificate", signing)):
        if not value:
            raise ValueError(f"{setting} is missing; set it, or give the identity provider's metadata by idp_metadata_file")
    address = urlsplit(sso_url)
    if not address.hostname or (address.scheme != "https" and (address.scheme != "http" or address.hostname not in LOOPBACK)):
        raise ValueError("idp_sso_url must begin with https://")
    key, certificate = _given(settings, "sp_key"), _given(settings, "sp_certificate")
    if bool(key) != bool(certificate):
        raise ValueError("sp_key and sp_certificate belong together; set both or none")
    return Description(
        name=name,
        display_name=settings.display_name or ("SAML" if name == "saml" else name),
        entity_id=entity_id,
        sso_url=sso_url,
        certificates=certificates(signing),
        own_key=own_key(key, certificate) if key else None,
    )


def _given(settings: IdentityProviderSettings, name: str) -> str:
    """A setting's text, or that of the file which the setting beside it names."""
    path: Path | None = getattr(settings, f"{name}_file")
    if path is None:
        return str(getattr(settings, name)).strip()
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{name}_file names {path}, which cannot be read: {type(error).__name__}") from None


def _from_metadata(text: str, entity_id: str) -> Element:
    try:
        root = read(_without_comments(text.encode()), most=MOST_METADATA)
    except Refusal as refusal:
        raise ValueError(f"the identity provider's metadata cannot be used: {refusal.detail}") from None
    members = [each for each in root.iter(MD + "EntityDescriptor") if each.find(MD + "IDPSSODescriptor") is not None]
    found = [each for each in members if entity_id in ("", each.get("entityID"))]
    if len(found) != 1:
        which = f"{len(found)} identity providers" + (f" with the entity ID {entity_id}" if entity_id else "; choose one by idp_entity_id")
        raise ValueError(f"the metadata describes {which}")
    return found[0]


def _without_comments(document: bytes) -> bytes:
    """Licences and dates are often written into metadata; the operator trusts the file."""
    parser = etree.XMLParser(remove_comments=True, remove_pis=True, resolve_entities=False, no_network=True, load_dtd=False)
    try:
        return etree.tostring(etree.fromstring(document, parser).getroottree())
    except (etree.XMLSyntaxError, ValueError):
        raise Refusal("it is not well-formed XML") from None


def _sso(entity: Element) -> str:
    services = entity.iterfind(f"{MD}IDPSSODescriptor/{MD}SingleSignOnService")
    return next((each.get("Location", "") for each in services if each.get("Binding") == HTTP_REDIRECT), "")


def _signing(entity: Element) -> str:
    """The certificates of the keys that are for signing, or for anything."""
    keys = [each for each in entity.iterfind(f"{MD}IDPSSODescriptor/{MD}KeyDescriptor") if each.get("use") in (None, "signing")]
    held = [found.text or "" for key in keys for found in key.iterfind(f"{DS}KeyInfo/{DS}X509Data/{DS}X509Certificate")]
    bodies = dict.fromkeys("\n".join(wrap("".join(body.split()), 64)) for body in held)
    return "\n".join(f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----" for body in bodies)
