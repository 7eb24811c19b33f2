"""From the form's field to a verified assertion, or to a sentence that says why not.

python3-saml judges the response in its strict mode. Around it are the checks that it makes more loosely or not at all: what
the document may look like at all, that the signed element is the one that is read, exact addresses, and the clocks.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from lxml import etree
from onelogin.saml2.errors import OneLogin_Saml2_Error, OneLogin_Saml2_ValidationError
from onelogin.saml2.response import OneLogin_Saml2_Response
from onelogin.saml2.settings import OneLogin_Saml2_Settings

from terrapod_auth_saml.assertion import Assertion, Expected, understood
from terrapod_auth_saml.description import Description
from terrapod_auth_saml.encryption import decrypted
from terrapod_auth_saml.refusal import BEGIN_HERE, NOT_SIGNED_IN, Refusal
from terrapod_auth_saml.signature import signed_bytes
from terrapod_auth_saml.xml import DS, HTTP_POST, HTTP_REDIRECT, MOST_BYTES, SAML, SAMLP, Element, only, read, text_of

STATUS: Final = "urn:oasis:names:tc:SAML:2.0:status:"
STATUSES: Final = (
    "Requester",
    "Responder",
    "VersionMismatch",
    "AuthnFailed",
    "InvalidNameIDPolicy",
    "NoAuthnContext",
    "NoPassive",
    "RequestDenied",
    "RequestUnsupported",
    "UnknownPrincipal",
    "UnsupportedBinding",
)
"""Those that a log line repeats."""


@dataclass(frozen=True)
class Answer:
    """The value of `SAMLResponse`, and whose it should be."""

    text: str
    provider: Description
    expected: Expected


def judged(answer: Answer) -> Assertion:
    """The assertion in an answer. Slow, and to be called by one thread at a time; raises `Refusal`."""
    document = _decoded(answer.text)
    response = read(document)
    _check_response(response, answer.expected)
    _check_status(response)
    if response.find(DS + "Signature") is not None:
        signed_bytes(response, answer.provider.certificates)
    clear = _in_the_clear(response, document, answer.provider)
    signed = signed_bytes(only(clear, SAML + "Assertion"), answer.provider.certificates)
    assertion = understood(signed, answer.expected)
    _second_opinion(answer, document)
    return assertion


def _decoded(text: str) -> bytes:
    if len(text) > MOST_BYTES * 3 // 2:
        raise Refusal(f"it has more than {MOST_BYTES // 1024} KiB")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise Refusal("it is not base64") from None


def _check_response(response: Element, expected: Expected) -> None:
    """What the message around the assertion says. It need not be signed, so all of it only ever refuses."""
    if response.tag != SAMLP + "Response" or response.get("Version") != "2.0":
        raise Refusal("it is no SAML 2.0 response")
    _check_names(response)
    if response.get("InResponseTo") is None:
        raise Refusal("it answers no request; sign-ins that the identity provider begins are not taken", BEGIN_HERE)
    if response.get("InResponseTo") != expected.request_id:
        raise Refusal("the response answers another request than this sign-in's")
    if response.get("Destination") != expected.callback_url:
        raise Refusal(f"the response is addressed to somewhere else than {expected.callback_url}")
    issuer = response.find(SAML + "Issuer")
    if issuer is not None and text_of(issuer) != expected.issuer:
        raise Refusal(f"the response is not from {expected.issuer}")


def _check_names(response: Element) -> None:
    """No two elements of one name, and signatures only where they are looked for."""
    seen: set[str] = set()
    for element in response.iter():
        for attribute, value in element.attrib.items():
            if etree.QName(attribute).localname.lower() != "id":
                continue
            if value in seen:
                raise Refusal("two elements have the same ID")
            seen.add(str(value))
        if element.tag == DS + "Signature":
            holder = element.getparent()
            if holder is None or holder.tag not in (SAML + "Assertion", SAMLP + "Response"):
                raise Refusal("a signature is where none belongs")


def _check_status(response: Element) -> None:
    status = only(response, SAMLP + "Status")
    codes = [each.get("Value", "") for each in status.iter(SAMLP + "StatusCode")]
    if codes != [STATUS + "Success"]:
        known = [name for code in codes for name in STATUSES if code == STATUS + name]
        raise Refusal("the identity provider answered " + (" ".join(known) or "a status of its own"), NOT_SIGNED_IN)


def _in_the_clear(response: Element, document: bytes, provider: Description) -> Element:
    """The response with exactly one assertion in it, decrypted if need be."""
    plain, hidden = (len(list(response.iter(SAML + name))) for name in ("Assertion", "EncryptedAssertion"))
    if (plain, hidden) not in ((1, 0), (0, 1)):
        raise Refusal(f"it holds {plain + hidden} assertions where one belongs")
    if not hidden:
        only(response, SAML + "Assertion")
        return response
    if provider.own_key is None:
        raise Refusal("the assertion is encrypted, and sp_key is not set")
    clear = decrypted(document, provider.own_key)
    _check_names(clear)
    if len(list(clear.iter(SAML + "Assertion"))) != 1:
        raise Refusal("the encrypted assertion holds another one")
    return clear


def _second_opinion(answer: Answer, document: bytes) -> None:
    """python3-saml's. Its clock is the machine's, and it grants an expired confirmation no difference of clocks."""
    address = urlsplit(answer.expected.callback_url)
    request = {"https": "on" if address.scheme == "https" else "off", "http_host": address.netloc, "script_name": address.path}
    try:
        response = OneLogin_Saml2_Response(_settings(answer), base64.b64encode(document).decode())
        response.is_valid(request, answer.expected.request_id, raise_exceptions=True)
    except (OneLogin_Saml2_ValidationError, OneLogin_Saml2_Error) as error:
        raise Refusal(f"python3-saml refuses it: {_named(error)}") from None
    except Exception as error:  # noqa: BLE001 - it raises bare exceptions, and those of three libraries below it
        raise Refusal(f"python3-saml cannot judge it: {type(error).__name__}") from None


def _settings(answer: Answer) -> OneLogin_Saml2_Settings:
    provider, own_key = answer.provider, answer.provider.own_key
    return OneLogin_Saml2_Settings(
        {
            "strict": True,
            "sp": {
                "entityId": answer.expected.audience,
                "assertionConsumerService": {"url": answer.expected.callback_url, "binding": HTTP_POST},
                **({"privateKey": own_key.pem, "x509cert": own_key.certificate.pem} if own_key else {}),
            },
            "idp": {
                "entityId": provider.entity_id,
                "singleSignOnService": {"url": provider.sso_url, "binding": HTTP_REDIRECT},
                "x509certMulti": {"signing": [each.pem for each in provider.certificates]},
            },
            "security": {
                "wantAssertionsSigned": True,
                "rejectDeprecatedAlgorithm": True,
                "wantAttributeStatement": False,
                "requestedAuthnContext": False,
                "allowSingleLabelDomains": True,
            },
        }
    )


def _named(error: Any) -> str:
    """The name of its error. The text may repeat what a stranger wrote."""
    names = (name for name, code in vars(type(error)).items() if name.isupper() and code == error.code)
    return next(names, type(error).__name__).lower().replace("_", " ")
