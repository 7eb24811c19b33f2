"""What exactly somebody signed.

A signature that verifies says little by itself: it may cover another element than the one that is read. So the bytes that
were signed are made again here, compared with the digest inside the signature, and only those bytes are read on.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Any, Final

import xmlsec
from lxml import etree

from terrapod_auth_saml.keys import Certificate
from terrapod_auth_saml.refusal import Refusal
from terrapod_auth_saml.xml import DS, EXCLUSIVE, Element, children, only

MORE: Final = "http://www.w3.org/2001/04/xmldsig-more#"
METHODS: Final = frozenset(f"{MORE}{key}-{digest}" for key in ("rsa", "ecdsa") for digest in ("sha256", "sha384", "sha512"))
DIGESTS: Final[dict[str, Callable[[bytes], Any]]] = {
    "http://www.w3.org/2001/04/xmlenc#sha256": hashlib.sha256,
    MORE + "sha384": hashlib.sha384,
    "http://www.w3.org/2001/04/xmlenc#sha512": hashlib.sha512,
}
ENVELOPED: Final = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"


def signed_bytes(element: Element, certificates: Sequence[Certificate]) -> bytes:
    """The canonical bytes of `element`, without its signature, that one of these certificates' keys signed.

    Raises `Refusal` for a signature that covers anything else, is made by anybody else, or by a method that is too weak.
    """
    signature = only(element, DS + "Signature")
    reference, prefixes = _reference(signature, element)
    _verify(signature, certificates)
    signed = canonical(element, prefixes)
    digest = DIGESTS[only(reference, DS + "DigestMethod").get("Algorithm", "")](signed).digest()
    if not hmac.compare_digest(digest, _decoded(only(reference, DS + "DigestValue"))):
        raise Refusal("the signature verifies, but not over the element it belongs to")
    return signed


def canonical(element: Element, prefixes: Sequence[str]) -> bytes:
    """An element by exclusive canonicalisation, without comments and without the signature directly inside it.

    `prefixes` are namespaces that stay although no name uses them, because values do.
    """
    # Through text, because that brings along the namespaces declared further up, under the prefixes they have.
    alone: Element = etree.fromstring(etree.tostring(element, with_tail=False))
    for signature in alone.findall(DS + "Signature"):
        _take_out(signature)
    return bytes(etree.tostring(alone, method="c14n", exclusive=True, with_comments=False, inclusive_ns_prefixes=list(prefixes) or None))


def _take_out(element: Element) -> None:
    """Remove an element, and leave the text after it where it is."""
    parent, before, tail = element.getparent(), element.getprevious(), element.tail or ""
    assert parent is not None
    if before is not None:
        before.tail = (before.tail or "") + tail
    else:
        parent.text = (parent.text or "") + tail
    parent.remove(element)


def _reference(signature: Element, element: Element) -> tuple[Element, list[str]]:
    """The one reference, which must be to `element`, and the prefixes its canonicalisation keeps."""
    if not set(children(signature)) <= {DS + name for name in ("SignedInfo", "SignatureValue", "KeyInfo")}:
        raise Refusal("the signature holds more than SignedInfo, SignatureValue and KeyInfo")
    info = only(signature, DS + "SignedInfo")
    if only(info, DS + "CanonicalizationMethod").get("Algorithm") != EXCLUSIVE:
        raise Refusal("the signature is not canonicalised exclusively")
    if only(info, DS + "SignatureMethod").get("Algorithm") not in METHODS:
        raise Refusal("the signature method is none of RSA or ECDSA with SHA-256, SHA-384 or SHA-512")
    reference = only(info, DS + "Reference")
    identifier = element.get("ID")
    if not identifier or reference.get("URI") != "#" + identifier:
        raise Refusal("the signature refers to another element than the one it is in")
    if only(reference, DS + "DigestMethod").get("Algorithm") not in DIGESTS:
        raise Refusal("the digest method is none of SHA-256, SHA-384 and SHA-512")
    transforms = list(only(reference, DS + "Transforms"))
    if [each.get("Algorithm") for each in transforms] != [ENVELOPED, EXCLUSIVE]:
        raise Refusal("the signature transforms what it signs in an uncommon way")
    kept = transforms[1].find(f"{{{EXCLUSIVE}}}InclusiveNamespaces")
    return reference, kept.get("PrefixList", "").split() if kept is not None else []


def _verify(signature: Element, certificates: Sequence[Certificate]) -> None:
    xmlsec.tree.add_ids(signature.getroottree().getroot(), ["ID"])
    for certificate in certificates:
        context = xmlsec.SignatureContext()
        # Never the key that the signature itself brings.
        context.key = xmlsec.Key.from_memory(certificate.pem, xmlsec.constants.KeyDataFormatCertPem)
        try:
            context.verify(signature)
        except xmlsec.Error:
            continue
        return
    raise Refusal("no signing certificate of the identity provider verifies the signature")


def _decoded(element: Element) -> bytes:
    try:
        return base64.b64decode("".join((element.text or "").split()), validate=True)
    except ValueError:
        raise Refusal("the digest is not base64") from None
