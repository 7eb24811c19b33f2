"""Answers that nobody may get in with. Each test names the check that has to see it, so that no other one covers for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import xmlsec
from lxml import etree

from terrapod_auth_saml.provider import SAMLProvider
from terrapod_auth_saml.refusal import Refusal
from terrapod_auth_saml.signature import signed_bytes
from terrapod_core.plugin import Callback, Identity, LoginRefused
from tests.support.saml_forge import CALLBACK, DS, SAMLP, Pen, Story, encrypted, pen, posted, signed, verifies, written

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


def back(document: bytes, request_id: str = "_request") -> Callback:
    return Callback(posted(document), state="s", callback_url=CALLBACK, remembered={"request_id": request_id})


async def refused(provider: SAMLProvider, callback: Callback, told: pytest.LogCaptureFixture, because: str) -> str:
    """Refused for this reason and no other; what the person reads."""
    with pytest.raises(LoginRefused) as refusal:
        await provider.finish(callback)
    assert because in told.messages[-1], told.messages
    assert "ana" not in told.text
    assert "mallory" not in told.text
    return refusal.value.reason


def later(minutes: float) -> timedelta:
    return timedelta(minutes=minutes)


async def test_the_answer_that_all_forgeries_are_made_of_is_good(provider: SAMLProvider, story: Story, idp_pen: Pen) -> None:
    identity = await provider.finish(back(signed(written(story), idp_pen)))
    assert (identity.subject, identity.email) == ("ana-4711", "ana@example.com")


# -- the story is signed by the identity provider, and does not fit

STORIES: dict[str, tuple[Callable[[Story], Story], str]] = {
    "over since an hour": (lambda s: replace(s, ends=later(-60)), "NotOnOrAfter of Conditions was"),
    "over for more than the clocks may differ": (lambda s: replace(s, ends=timedelta(seconds=-60)), "NotOnOrAfter of Conditions was"),
    "not yet begun": (lambda s: replace(s, not_before=later(1.5)), "valid from"),
    "confirmed until the past": (lambda s: replace(s, confirmation_ends=later(-2)), "NotOnOrAfter of SubjectConfirmationData was"),
    "confirmed for ever": (lambda s: replace(s, confirmation_ends=None), "has no NotOnOrAfter"),
    "confirmed from a moment on": (lambda s: replace(s, confirmation_not_before=later(-2)), "has a NotBefore"),
    "a session that is over": (lambda s: replace(s, session_ends=later(-2)), "NotOnOrAfter of AuthnStatement was"),
    "another audience": (lambda s: replace(s, audience="https://other.example"), "the assertion's audience is 'https://other.example'"),
    "an audience that ours begins": (lambda s: replace(s, audience=s.audience + "/x"), "the assertion's audience is"),
    "another recipient": (lambda s: replace(s, recipient="https://other.example/acs"), "the assertion's recipient is"),
    "a recipient that ours begins": (lambda s: replace(s, recipient=CALLBACK + "/x"), "the assertion's recipient is"),
    "no recipient": (lambda s: replace(s, recipient=None), "the assertion's recipient is none"),
    "another destination": (lambda s: replace(s, destination="https://other.example/acs"), "addressed to somewhere else"),
    "a destination that ours begins": (lambda s: replace(s, destination=CALLBACK + "/x"), "addressed to somewhere else"),
    "no destination": (lambda s: replace(s, destination=None), "addressed to somewhere else"),
    "an answer to another request": (lambda s: replace(s, request_id="_other"), "the response answers another request"),
    "an assertion for another request": (lambda s: replace(s, confirmed_request_id="_other"), "the assertion answers another request"),
    "an assertion for no request": (lambda s: replace(s, confirmed_request_id=None), "the assertion answers another request"),
    "another issuer": (lambda s: replace(s, issuer="https://evil.example"), "the assertion's issuer is 'https://evil.example'"),
    "another issuer of the response": (lambda s: replace(s, response_issuer="https://evil.example"), "the response is not from"),
    "not a bearer": (lambda s: replace(s, method="urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"), "not confirmed by bearing"),
    "no success": (
        lambda s: replace(s, status="urn:oasis:names:tc:SAML:2.0:status:Responder"),
        "the identity provider answered Responder",
    ),
    "a status of its own": (lambda s: replace(s, status="urn:x:a\nline"), "answered a status of its own"),
    "a condition nobody knows": (
        lambda s: replace(s, condition='<saml:Condition xmlns:x="urn:x" xsi:type="x:OnlyOnSundays"/>'),
        "a condition that is not understood",
    ),
    "a transient name": (
        lambda s: replace(s, name_id_format="urn:oasis:names:tc:SAML:2.0:nameid-format:transient"),
        "the NameID is transient",
    ),
    "a name for another service": (
        lambda s: replace(s, name_id_format=s.name_id_format + '" SPNameQualifier="urn:other'),
        "the NameID is meant for 'urn:other'",
    ),
    "no name": (lambda s: replace(s, name_id=" "), "the NameID must be one line"),
    "a name beyond all measure": (lambda s: replace(s, name_id="m" * 300), "the NameID must be one line"),
    "no e-mail address": (lambda s: replace(s, attributes={"uid": ("mallory",)}), "holds an e-mail address"),
    "an e-mail address that is none": (lambda s: replace(s, attributes={"mail": ("mallory",)}), "holds an e-mail address"),
}


@pytest.mark.parametrize(("change", "because"), STORIES.values(), ids=STORIES.keys())
async def test_a_signed_story_that_does_not_fit_is_refused(
    provider: SAMLProvider, story: Story, idp_pen: Pen, told: pytest.LogCaptureFixture, change: Callable[[Story], Story], because: str
) -> None:
    await refused(provider, back(signed(written(change(story)), idp_pen)), told, because)


# -- the document

DOCUMENTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a document type": (lambda d: b"<!DOCTYPE a>" + d, "document type declaration"),
    "a billion laughs": (
        lambda d: b'<!DOCTYPE a [<!ENTITY l "lol"><!ENTITY m "' + b"&l;" * 500 + b'">]>' + d.replace(b"ana-4711", b"&m;"),
        "document type declaration",
    ),
    "an external entity": (
        lambda d: b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + d.replace(b"ana-4711", b"&x;"),
        "document type declaration",
    ),
    "a document type in UTF-16": (
        lambda d: ('<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a>' + d.decode()).encode("utf-16"),
        "document type declaration",
    ),
    "a comment in the name": (lambda d: d.replace(b"ana-4711", b"ana<!-- -->-4711"), "it holds a comment"),
    "a comment in an attribute": (lambda d: d.replace(b"ana@example.com", b"ana@example.com<!-- -->"), "it holds a comment"),
    "a processing instruction": (lambda d: d.replace(b"ana-4711", b"ana<?x y?>-4711"), "processing instruction"),
    "an element in the name": (lambda d: d.replace(b"ana-4711", b"ana<saml:x/>-4711"), "no signing certificate"),
    "elements without end": (lambda d: b"<a>" * 5_000, "nested more than"),
    "too many bytes": (lambda d: d + b" " * 262_144, "it has more than 256 KiB"),
    "half a document": (lambda d: d[: len(d) // 2], "not well-formed"),
    "no response": (lambda d: b"<a/>", "no SAML 2.0 response"),
    "an older version": (lambda d: d.replace(b'Version="2.0"', b'Version="1.1"', 1), "no SAML 2.0 response"),
    "an answer to nobody": (lambda d: d.replace(b' InResponseTo="_request"', b"", 1), "answers no request"),
    "another name": (lambda d: d.replace(b"ana-4711", b"mallory!"), "no signing certificate"),
    "another group": (lambda d: d.replace(b">ops<", b">boss<"), "no signing certificate"),
    "a longer life": (lambda d: d.replace(b'SessionNotOnOrAfter="2', b'SessionNotOnOrAfter="3'), "no signing certificate"),
    "an element that no schema knows": (lambda d: d.replace(b"<samlp:Status>", b"<samlp:Status><x/>"), "invalid xml format"),
    "two elements of one ID": (lambda d: d.replace(b'ID="_response"', b'ID="_assertion"'), "two elements have the same ID"),
    "another kind of ID": (lambda d: d.replace(b"<samlp:Status>", b'<samlp:Status Id="_assertion">'), "two elements have the same ID"),
}


@pytest.mark.parametrize(("change", "because"), DOCUMENTS.values(), ids=DOCUMENTS.keys())
async def test_a_document_that_was_changed_is_refused(
    provider: SAMLProvider, story: Story, idp_pen: Pen, told: pytest.LogCaptureFixture, change: Callable[[bytes], bytes], because: str
) -> None:
    original = signed(written(story), idp_pen)
    changed = change(original)
    assert changed != original
    await refused(provider, back(changed), told, because)


@pytest.mark.parametrize(
    ("text", "because"), [("A" * 400_000, "256 KiB"), (" " * 400_000, "256 KiB"), ("%%%", "not base64"), ("PGE+\u202e", "not base64")]
)
async def test_what_is_no_base64_of_a_reasonable_size_is_refused(
    provider: SAMLProvider, told: pytest.LogCaptureFixture, text: str, because: str
) -> None:
    await refused(provider, replace(back(b""), values={"SAMLResponse": text}), told, because)


# -- the signature


async def test_an_answer_that_nobody_signed_is_refused(provider: SAMLProvider, story: Story, told: pytest.LogCaptureFixture) -> None:
    await refused(provider, back(written(story)), told, "Assertion has 0 Signature")


async def test_a_signature_around_the_message_alone_is_not_enough(
    provider: SAMLProvider, story: Story, idp_pen: Pen, told: pytest.LogCaptureFixture
) -> None:
    document = signed(written(story), idp_pen, SAMLP + "Response")
    assert verifies(document, idp_pen.certificate)
    await refused(provider, back(document), told, "Assertion has 0 Signature")


async def test_a_second_signature_around_the_message_must_be_good_too(
    provider: SAMLProvider, story: Story, idp_pen: Pen, stranger: Pen, told: pytest.LogCaptureFixture
) -> None:
    once = signed(written(story), idp_pen)
    await refused(provider, back(signed(once, stranger, SAMLP + "Response")), told, "no signing certificate")
    assert isinstance(await provider.finish(back(signed(once, idp_pen, SAMLP + "Response"))), Identity)


async def test_a_strangers_signature_is_refused_although_it_brings_its_certificate(
    provider: SAMLProvider, story: Story, stranger: Pen, told: pytest.LogCaptureFixture
) -> None:
    document = signed(written(story), stranger)
    assert verifies(document, stranger.certificate)
    await refused(provider, back(document), told, "no signing certificate")


WEAK: dict[str, tuple[dict[str, Any], str]] = {
    "SHA-1 under RSA": ({"method": xmlsec.constants.TransformRsaSha1}, "the signature method is none of"),
    "a SHA-1 digest": ({"digest": xmlsec.constants.TransformSha1}, "the digest method is none of"),
    "inclusive canonicalisation": ({"canonical": xmlsec.constants.TransformInclC14N}, "not canonicalised exclusively"),
    "comments kept": ({"canonical": xmlsec.constants.TransformExclC14NWithComments}, "not canonicalised exclusively"),
}


@pytest.mark.parametrize(("how", "because"), WEAK.values(), ids=WEAK.keys())
async def test_a_weak_signature_is_refused(
    provider: SAMLProvider, story: Story, idp_pen: Pen, told: pytest.LogCaptureFixture, how: dict[str, Any], because: str
) -> None:
    document = signed(written(story), idp_pen, **how)
    assert verifies(document, idp_pen.certificate)
    await refused(provider, back(document), told, because)


@pytest.mark.parametrize("word", ["rsa-sha512", "hmac-sha256"])
async def test_a_signature_of_another_method_than_it_says_is_refused(
    provider: SAMLProvider, story: Story, idp_pen: Pen, told: pytest.LogCaptureFixture, word: str
) -> None:
    document = signed(written(story), idp_pen).replace(b"rsa-sha256", word.encode())
    await refused(provider, back(document), told, "no signing certificate" if "rsa" in word else "the signature method is none of")


async def test_elliptic_curves_are_as_good_as_rsa(make: Callable[..., SAMLProvider], story: Story) -> None:
    by = pen(curve=True)
    document = signed(written(story), by, method=xmlsec.constants.TransformEcdsaSha256)
    assert isinstance(await make(idp_certificate=by.certificate).finish(back(document)), Identity)


def test_a_library_that_verified_something_else_is_not_believed(story: Story, idp_pen: Pen, monkeypatch: pytest.MonkeyPatch) -> None:
    document = signed(written(story), idp_pen)
    monkeypatch.setattr("terrapod_auth_saml.signature._verify", lambda *given: None)
    assert b"ana-4711" in signed_bytes(etree.fromstring(document)[2], ())
    changed = etree.fromstring(document.replace(b"ana-4711", b"mallory!"))[2]
    with pytest.raises(Refusal, match="not over the element it belongs to"):
        signed_bytes(changed, ())


async def test_an_additional_transform_is_refused(
    provider: SAMLProvider, story: Story, idp_pen: Pen, told: pytest.LogCaptureFixture
) -> None:
    root = etree.fromstring(signed(written(story), idp_pen))
    transforms = next(root.iter(DS + "Transforms"))
    xpath = etree.SubElement(transforms, DS + "Transform", Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116")
    etree.SubElement(xpath, DS + "XPath").text = "not(ancestor-or-self::*[local-name()='NameID'])"
    await refused(provider, back(etree.tostring(root)), told, "transforms what it signs in an uncommon way")


# -- once


async def test_an_answer_counts_once(provider: SAMLProvider, story: Story, idp_pen: Pen, told: pytest.LogCaptureFixture) -> None:
    document = signed(written(story), idp_pen)
    await provider.finish(back(document))
    await refused(provider, back(document), told, "the request was used before")


async def test_an_assertion_counts_once_even_for_another_request(
    provider: SAMLProvider, story: Story, idp_pen: Pen, told: pytest.LogCaptureFixture
) -> None:
    await provider.finish(back(signed(written(story), idp_pen)))
    again = replace(story, request_id="_second", confirmed_request_id="_second")
    await refused(provider, back(signed(written(again), idp_pen), "_second"), told, "the assertion was used before")


async def test_a_sign_in_that_the_identity_provider_begins_is_refused(
    provider: SAMLProvider, story: Story, idp_pen: Pen, told: pytest.LogCaptureFixture
) -> None:
    callback = replace(back(signed(written(story), idp_pen)), remembered={})
    assert "begin again" in await refused(provider, callback, told, "no request is remembered")


# -- the key that encrypts proves nothing


async def test_an_encrypted_assertion_has_to_be_signed_as_well(
    make: Callable[..., SAMLProvider], own_key: dict[str, str], own_pen: Pen, story: Story, stranger: Pen, told: pytest.LogCaptureFixture
) -> None:
    provider = make(**own_key)
    await refused(provider, back(encrypted(written(story), own_pen.certificate)), told, "Assertion has 0 Signature")
    forged = encrypted(signed(written(story), stranger), own_pen.certificate)
    await refused(provider, back(forged), told, "no signing certificate")


async def test_what_is_encrypted_for_somebody_else_or_not_at_all_well_is_refused_alike(
    make: Callable[..., SAMLProvider],
    own_key: dict[str, str],
    own_pen: Pen,
    story: Story,
    idp_pen: Pen,
    stranger: Pen,
    told: pytest.LogCaptureFixture,
) -> None:
    provider = make(**own_key)
    document = signed(written(story), idp_pen)
    reason = await refused(provider, back(encrypted(document, stranger.certificate)), told, "cannot be decrypted")
    weak = encrypted(document, own_pen.certificate, key=xmlsec.constants.TransformRsaPkcs1)
    assert await refused(provider, back(weak), told, "encrypted by a method that is not taken") == reason
    des = encrypted(document, own_pen.certificate, data=xmlsec.constants.TransformDes3Cbc)
    assert await refused(provider, back(des), told, "encrypted by a method that is not taken") == reason
    good = encrypted(document, own_pen.certificate)
    assert isinstance(await provider.finish(back(good)), Identity)


async def test_an_encrypted_assertion_may_not_point_elsewhere(
    make: Callable[..., SAMLProvider], own_key: dict[str, str], own_pen: Pen, story: Story, idp_pen: Pen, told: pytest.LogCaptureFixture
) -> None:
    root = etree.fromstring(encrypted(signed(written(story), idp_pen), own_pen.certificate))
    key = next(root.iter("{http://www.w3.org/2001/04/xmlenc#}EncryptedKey"))
    etree.SubElement(key.getparent(), DS + "RetrievalMethod", URI="http://127.0.0.1:1/key")  # type: ignore[arg-type]
    await refused(make(**own_key), back(etree.tostring(root)), told, "refers to something elsewhere")


async def test_an_encrypted_assertion_needs_a_key_of_this_server(
    provider: SAMLProvider, own_pen: Pen, story: Story, idp_pen: Pen, told: pytest.LogCaptureFixture
) -> None:
    document = encrypted(signed(written(story), idp_pen), own_pen.certificate)
    await refused(provider, back(document), told, "sp_key is not set")
