"""What this server tells an identity provider: the request that a browser carries, and the document that its operator imports."""

from __future__ import annotations

import base64
import secrets
import zlib
from datetime import datetime
from typing import Final
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from lxml import etree
from onelogin.saml2.metadata import OneLogin_Saml2_Metadata

from terrapod_auth_saml.description import Description
from terrapod_auth_saml.keys import OwnKey
from terrapod_auth_saml.settings import NameIDFormat
from terrapod_auth_saml.signature import MORE
from terrapod_auth_saml.xml import HTTP_POST, SAML, SAMLP

FORMATS: Final[dict[NameIDFormat, str]] = {
    "unspecified": "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
    "persistent": "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
    "email": "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
    "transient": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient",
}


def new_request_id() -> str:
    """160 random bits, as a name that XML takes."""
    return "_" + secrets.token_hex(20)


def authn_request(request_id: str, *, provider: Description, entity_id: str, callback_url: str, form: NameIDFormat, now: datetime) -> bytes:
    """The question who somebody is, to be answered by POST to `callback_url`."""
    root = etree.Element(
        SAMLP + "AuthnRequest",
        {
            "ID": request_id,
            "Version": "2.0",
            "IssueInstant": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "Destination": provider.sso_url,
            "ProtocolBinding": HTTP_POST,
            "AssertionConsumerServiceURL": callback_url,
        },
        nsmap={"samlp": SAMLP[1:-1], "saml": SAML[1:-1]},
    )
    etree.SubElement(root, SAML + "Issuer").text = entity_id
    # Asking for "unspecified" by name makes some identity providers answer that they have no such form.
    wanted = {"Format": FORMATS[form]} if form != "unspecified" else {}
    etree.SubElement(root, SAMLP + "NameIDPolicy", {**wanted, "AllowCreate": "true"})
    return etree.tostring(root)


def redirect_url(request: bytes, state: str, provider: Description) -> str:
    """Where the browser goes: the HTTP-Redirect binding, signed if this server has a key."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated = squeeze.compress(request) + squeeze.flush()
    query = urlencode({"SAMLRequest": base64.b64encode(deflated).decode(), "RelayState": state})
    if provider.own_key is not None:
        query += "&" + urlencode({"SigAlg": MORE + "rsa-sha256"})
        signature = provider.own_key.private.sign(query.encode(), padding.PKCS1v15(), hashes.SHA256())
        query += "&" + urlencode({"Signature": base64.b64encode(signature).decode()})
    return provider.sso_url + ("&" if "?" in provider.sso_url else "?") + query


def metadata_document(*, entity_id: str, callback_url: str, form: NameIDFormat, own_key: OwnKey | None) -> bytes:
    """This server's metadata, signed if it has a key. Slow then, and to be called by one thread at a time."""
    service = {
        "entityId": _attribute(entity_id),
        "NameIDFormat": escape(FORMATS[form]),
        "assertionConsumerService": {"url": _attribute(callback_url), "binding": HTTP_POST},
    }
    # Without an expiry: the other operator imports it once.
    text = OneLogin_Saml2_Metadata.builder(service, authnsign=own_key is not None, wsign=True, valid_until="", cache_duration="")
    if own_key is None:
        return str(text).encode()
    with_keys = OneLogin_Saml2_Metadata.add_x509_key_descriptors(text, own_key.certificate.pem)
    signed = OneLogin_Saml2_Metadata.sign_metadata(with_keys, own_key.pem, own_key.certificate.pem)
    return signed if isinstance(signed, bytes) else str(signed).encode()


def _attribute(value: str) -> str:
    """A value as it stands between double quotes."""
    return escape(value, {'"': "&quot;"})
