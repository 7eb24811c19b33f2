"""An assertion whose signature is verified: is it for us, about this request, and of now; and what does it say?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from terrapod_auth_saml.refusal import NOT_ACCEPTED, TOO_LATE, Refusal, shown
from terrapod_auth_saml.xml import SAML, Element, children, instant, local, only, read, text_of

SKEW: Final = timedelta(seconds=60)
"""How much the clocks of the identity provider and of this server may differ."""

BEARER: Final = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
CONDITIONS: Final = frozenset(SAML + name for name in ("AudienceRestriction", "OneTimeUse", "ProxyRestriction"))


@dataclass(frozen=True)
class Expected:
    """What an answer must say to be the one to our question."""

    issuer: str
    audience: str
    callback_url: str
    request_id: str
    now: datetime


@dataclass(frozen=True)
class Assertion:
    """What the identity provider says of somebody."""

    id: str
    name_id: str = field(repr=False)
    name_id_format: str
    attributes: Mapping[str, tuple[str, ...]] = field(repr=False)
    """The values of each attribute by its `Name`, empty ones left out."""
    valid_until: datetime
    """From then on it is not taken any more, whatever the clocks."""


def understood(signed: bytes, expected: Expected) -> Assertion:
    """The assertion in these signed bytes. Raises `Refusal` when it is not for us, or not for now."""
    assertion = read(signed)
    issuer = text_of(only(assertion, SAML + "Issuer"))
    if issuer != expected.issuer:
        raise Refusal(f"the assertion's issuer is {shown(issuer)}, not {expected.issuer}")
    subject = only(assertion, SAML + "Subject")
    ends = [_confirmed(subject, expected), *_conditions(only(assertion, SAML + "Conditions"), expected)]
    for statement in _several(assertion, "AuthnStatement"):
        ends += _before_end(statement, "SessionNotOnOrAfter", expected)
    name_id = only(subject, SAML + "NameID")
    qualifier = name_id.get("SPNameQualifier")
    if qualifier is not None and qualifier != expected.audience:
        raise Refusal(f"the NameID is meant for {shown(qualifier)}, not for {expected.audience}")
    return Assertion(
        id=assertion.get("ID", ""),
        name_id=text_of(name_id),
        name_id_format=name_id.get("Format", ""),
        attributes=_attributes(assertion),
        valid_until=min(ends),
    )


def _several(parent: Element, name: str) -> list[Element]:
    found = parent.findall(SAML + name)
    if not found:
        raise Refusal(f"{local(parent)} has no {name}")
    return found


def _confirmed(subject: Element, expected: Expected) -> datetime:
    """Until when the subject's confirmation holds: one bearer of this request at this address."""
    confirmation = only(subject, SAML + "SubjectConfirmation")
    data = only(confirmation, SAML + "SubjectConfirmationData")
    if confirmation.get("Method") != BEARER:
        raise Refusal("the subject is not confirmed by bearing the assertion")
    if data.get("Recipient") != expected.callback_url:
        raise Refusal(f"the assertion's recipient is {shown(data.get('Recipient'))}, not {expected.callback_url}")
    if data.get("InResponseTo") != expected.request_id:
        raise Refusal("the assertion answers another request than this sign-in's")
    if data.get("NotBefore") is not None:
        raise Refusal("a bearer's confirmation has a NotBefore, which the profile forbids")
    ends = _before_end(data, "NotOnOrAfter", expected)
    if not ends:
        raise Refusal("the subject's confirmation has no NotOnOrAfter")
    return ends[0]


def _conditions(conditions: Element, expected: Expected) -> list[datetime]:
    begin = instant(conditions, "NotBefore")
    if begin is not None and begin > expected.now + SKEW:
        raise Refusal(f"the assertion is valid from {begin:%Y-%m-%d %H:%M:%S}Z only", TOO_LATE)
    if not set(children(conditions)) <= CONDITIONS:
        raise Refusal("the assertion has a condition that is not understood")
    for restriction in _several(conditions, "AudienceRestriction"):
        audiences = [text_of(each) for each in restriction.findall(SAML + "Audience")]
        if expected.audience not in audiences:
            raise Refusal(f"the assertion's audience is {shown(', '.join(audiences))}, not {expected.audience}", NOT_ACCEPTED)
    return _before_end(conditions, "NotOnOrAfter", expected)


def _before_end(element: Element, name: str, expected: Expected) -> list[datetime]:
    """The end that an attribute says, if it does; `Refusal` when it has come."""
    end = instant(element, name)
    if end is None:
        return []
    if end <= expected.now - SKEW:
        raise Refusal(f"{name} of {local(element)} was {end:%Y-%m-%d %H:%M:%S}Z", TOO_LATE)
    return [end]


def _attributes(assertion: Element) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for statement in assertion.findall(SAML + "AttributeStatement"):
        if statement.find(SAML + "EncryptedAttribute") is not None:
            raise Refusal("single attributes are encrypted; encrypt the whole assertion")
        for attribute in statement.findall(SAML + "Attribute"):
            values = [(each.text or "").strip() for each in attribute.findall(SAML + "AttributeValue") if not len(each)]
            name = attribute.get("Name", "")
            found[name] = (*found.get(name, ()), *filter(None, values))
    return found
