"""Responses of a SAML identity provider, right ones and forged ones: written by hand, signed by libxmlsec in this process."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from lxml import etree

IDP = "https://idp.example.com/saml"
SSO = "https://idp.example.com/sso"
CALLBACK = "https://terrapod.example/api/v2/auth/callback"
AUDIENCE = "https://terrapod.example/api/v2/auth/providers/saml/metadata"

SAML = "{urn:oasis:names:tc:SAML:2.0:assertion}"
SAMLP = "{urn:oasis:names:tc:SAML:2.0:protocol}"
DS = "{http://www.w3.org/2000/09/xmldsig#}"
PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"


@dataclass(frozen=True)
class Pen:
    """A key to sign with, and its certificate in PEM."""

    key: str = field(repr=False)
    certificate: str = field(repr=False)


def pen(bits: int = 2048, *, curve: bool = False) -> Pen:
    """A new key with a certificate that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1()) if curve else rsa.generate_private_key(65537, bits)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp.example.com")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    certificate = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=9)).sign(key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return Pen(private, certificate.public_bytes(Encoding.PEM).decode())


@dataclass(frozen=True)
class Story:
    """What a response says; `dataclasses.replace` makes a wrong one of it."""

    now: datetime
    request_id: str = "_request"
    confirmed_request_id: str | None = "_request"
    destination: str | None = CALLBACK
    recipient: str | None = CALLBACK
    audience: str = AUDIENCE
    issuer: str = IDP
    response_issuer: str = IDP
    name_id: str = "ana-4711"
    """As it stands in the document: markup stays markup."""
    name_id_format: str = PERSISTENT
    attributes: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {"mail": ("ana@example.com",), "uid": ("ana",), "groups": ("ops", "dev")}
    )
    not_before: timedelta = timedelta(minutes=-1)
    ends: timedelta | None = timedelta(minutes=5)
    """`NotOnOrAfter` of the conditions."""
    confirmation_ends: timedelta | None = timedelta(minutes=5)
    session_ends: timedelta = timedelta(hours=8)
    status: str = SUCCESS
    method: str = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
    condition: str = ""
    """More inside the conditions."""
    confirmation_not_before: timedelta | None = None
    assertion_id: str = "_assertion"

    def at(self, by: timedelta) -> str:
        return f"{self.now + by:%Y-%m-%dT%H:%M:%SZ}"


def _say(name: str, value: str | None) -> str:
    return "" if value is None else f' {name}="{escape(value)}"'


def written(story: Story) -> bytes:
    """The response without any signature."""
    attributes = "".join(
        f'<saml:Attribute Name="{escape(name)}">'
        + "".join(f'<saml:AttributeValue xsi:type="xs:string">{value}</saml:AttributeValue>' for value in values)
        + "</saml:Attribute>"
        for name, values in story.attributes.items()
    )
    confirmation = (
        _say("InResponseTo", story.confirmed_request_id)
        + _say("Recipient", story.recipient)
        + (_say("NotOnOrAfter", story.at(story.confirmation_ends)) if story.confirmation_ends is not None else "")
        + (_say("NotBefore", story.at(story.confirmation_not_before)) if story.confirmation_not_before is not None else "")
    )
    ends = _say("NotOnOrAfter", story.at(story.ends)) if story.ends is not None else ""
    issued = story.at(timedelta())
    return (
        f'<samlp:Response xmlns:samlp="{SAMLP[1:-1]}" xmlns:saml="{SAML[1:-1]}" xmlns:xs="http://www.w3.org/2001/XMLSchema"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        f' ID="_response" Version="2.0" IssueInstant="{issued}"{_say("Destination", story.destination)} InResponseTo="{story.request_id}">'
        f"<saml:Issuer>{story.response_issuer}</saml:Issuer>"
        f'<samlp:Status><samlp:StatusCode Value="{story.status}"/></samlp:Status>'
        f'<saml:Assertion ID="{story.assertion_id}" Version="2.0" IssueInstant="{issued}"><saml:Issuer>{story.issuer}</saml:Issuer>'
        f'<saml:Subject><saml:NameID Format="{story.name_id_format}">{story.name_id}</saml:NameID>'
        f'<saml:SubjectConfirmation Method="{story.method}"><saml:SubjectConfirmationData{confirmation}/></saml:SubjectConfirmation>'
        "</saml:Subject>"
        f'<saml:Conditions NotBefore="{story.at(story.not_before)}"{ends}>'
        f"<saml:AudienceRestriction><saml:Audience>{story.audience}</saml:Audience></saml:AudienceRestriction>{story.condition}</saml:Conditions>"
        f'<saml:AuthnStatement AuthnInstant="{issued}" SessionNotOnOrAfter="{story.at(story.session_ends)}"><saml:AuthnContext>'
        "<saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport</saml:AuthnContextClassRef>"
        f"</saml:AuthnContext></saml:AuthnStatement><saml:AttributeStatement>{attributes}</saml:AttributeStatement></saml:Assertion></samlp:Response>"
    ).encode()


def signed(
    document: bytes,
    by: Pen,
    element: str = SAML + "Assertion",
    *,
    method: Any = xmlsec.constants.TransformRsaSha256,
    digest: Any = xmlsec.constants.TransformSha256,
    canonical: Any = xmlsec.constants.TransformExclC14N,
    keep: str | None = None,
    brings_key: bool = True,
) -> bytes:
    """The document with a signature in its first `element`; `keep` names a prefix for `InclusiveNamespaces`."""
    root = etree.fromstring(document)
    target = next(root.iter(element))
    signature = xmlsec.template.create(target, canonical, method, ns="ds")
    target.insert(1, signature)
    reference = xmlsec.template.add_reference(signature, digest, uri="#" + target.get("ID", ""))
    xmlsec.template.add_transform(reference, xmlsec.constants.TransformEnveloped)
    transform = xmlsec.template.add_transform(reference, xmlsec.constants.TransformExclC14N)
    if keep is not None:
        etree.SubElement(transform, "{http://www.w3.org/2001/10/xml-exc-c14n#}InclusiveNamespaces", PrefixList=keep)
    if brings_key:
        xmlsec.template.add_x509_data(xmlsec.template.ensure_key_info(signature))
    xmlsec.tree.add_ids(root, ["ID"])
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(by.key, xmlsec.constants.KeyDataFormatPem)
    context.key.load_cert_from_memory(by.certificate, xmlsec.constants.KeyDataFormatCertPem)
    context.sign(signature)
    return etree.tostring(root)


def encrypted(
    document: bytes,
    certificate: str,
    *,
    data: Any = xmlsec.constants.TransformAes256Gcm,
    key: Any = xmlsec.constants.TransformRsaOaep,
) -> bytes:
    """The document with its assertion encrypted for the key of `certificate`."""
    root = etree.fromstring(document)
    assertion = next(root.iter(SAML + "Assertion"))
    holder = etree.Element(SAML + "EncryptedAssertion")
    root.replace(assertion, holder)
    holder.append(assertion)
    manager = xmlsec.KeysManager()
    manager.add_key(xmlsec.Key.from_memory(certificate, xmlsec.constants.KeyDataFormatCertPem))
    template = xmlsec.template.encrypted_data_create(root, data, type=xmlsec.constants.TypeEncElement, ns="xenc")
    xmlsec.template.encrypted_data_ensure_cipher_value(template)
    info = xmlsec.template.encrypted_data_ensure_key_info(template, ns="ds")
    wrapped = xmlsec.template.add_encrypted_key(info, key)
    xmlsec.template.encrypted_data_ensure_cipher_value(wrapped)
    context = xmlsec.EncryptionContext(manager)
    bits = 256 if data in (xmlsec.constants.TransformAes256Gcm, xmlsec.constants.TransformAes256Cbc) else 192
    kind = xmlsec.constants.KeyDataAes if bits == 256 else xmlsec.constants.KeyDataDes
    context.key = xmlsec.Key.generate(kind, bits, xmlsec.constants.KeyDataTypeSession)
    context.encrypt_xml(template, assertion)
    return etree.tostring(root)


def posted(document: bytes) -> dict[str, str]:
    """The form that a browser posts."""
    return {"SAMLResponse": base64.b64encode(document).decode()}


def verifies(document: bytes, certificate: str) -> bool:
    """Whether some signature in the document verifies: all that a careless reader looks at."""
    root = etree.fromstring(document)
    xmlsec.tree.add_ids(root, ["ID"])
    for signature in root.iter(DS + "Signature"):
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_memory(certificate, xmlsec.constants.KeyDataFormatCertPem)
        try:
            context.verify(signature)
        except xmlsec.Error:
            continue
        return True
    return False
