"""Encrypted assertions. Encryption hides; only the signature inside says who wrote it."""

from __future__ import annotations

from typing import Final

import xmlsec
from lxml import etree

from terrapod_auth_saml.keys import OwnKey
from terrapod_auth_saml.refusal import Refusal
from terrapod_auth_saml.xml import DS, SAML, XENC, Element, children, local, only, read

DATA: Final = frozenset(
    ["http://www.w3.org/2009/xmlenc11#aes128-gcm", "http://www.w3.org/2009/xmlenc11#aes256-gcm"]
    # What ADFS and Entra ID send unless told otherwise.
    + [f"http://www.w3.org/2001/04/xmlenc#aes{bits}-cbc" for bits in (128, 192, 256)]
)
KEY: Final = frozenset(["http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p", "http://www.w3.org/2009/xmlenc11#rsa-oaep"])
"""RSA with PKCS#1 v1.5 padding is not among them: whoever may ask often enough reads it without the key."""


def decrypted(document: bytes, own_key: OwnKey) -> Element:
    """The response with its assertion in the clear. Raises `Refusal`, with one sentence for all that can go wrong inside."""
    root = read(document)
    wrapper = only(root, SAML + "EncryptedAssertion")
    data = _checked(wrapper)
    manager = xmlsec.KeysManager()
    manager.add_key(xmlsec.Key.from_memory(own_key.pem, xmlsec.constants.KeyDataFormatPem))
    try:
        assertion = xmlsec.EncryptionContext(manager).decrypt(data)
    except (xmlsec.Error, etree.LxmlError, ValueError):
        raise Refusal("the assertion cannot be decrypted with sp_key") from None
    if assertion.tag != SAML + "Assertion":
        raise Refusal("the assertion cannot be decrypted with sp_key")
    root.replace(wrapper, assertion)
    # Read again from bytes: what was hidden has to keep the same rules as what was not.
    return read(etree.tostring(root))


def _checked(wrapper: Element) -> Element:
    """The encrypted data, when it is of a form that points to nothing outside of itself."""
    data = only(wrapper, XENC + "EncryptedData")
    if children(wrapper) != [data.tag]:
        raise Refusal("the encrypted key belongs inside the encrypted data")
    key = only(only(data, DS + "KeyInfo"), XENC + "EncryptedKey")
    for part, methods in ((data, DATA), (key, KEY)):
        if only(part, XENC + "EncryptionMethod").get("Algorithm") not in methods:
            raise Refusal("the assertion is encrypted by a method that is not taken; use RSA-OAEP and AES")
        only(only(part, XENC + "CipherData"), XENC + "CipherValue")
    if any(local(each) in ("CipherReference", "RetrievalMethod", "KeyInfoReference") for each in wrapper.iter()):
        raise Refusal("the encrypted assertion refers to something elsewhere")
    return data
