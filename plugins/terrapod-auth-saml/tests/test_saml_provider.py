from __future__ import annotations

import asyncio
import base64
import threading
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree
from onelogin.saml2.utils import OneLogin_Saml2_Utils

from terrapod_auth_saml.bench import MOST_WAITING, Bench
from terrapod_auth_saml.provider import SAMLProvider
from terrapod_auth_saml.xml import HTTP_POST, MD
from terrapod_core.plugin import Callback, LoginRefused, LoginRequest, PluginContext, Redirect, SupportsMetadata
from terrapod_core.testing import FakeClock, MemoryOnce
from tests.support.saml_forge import AUDIENCE, CALLBACK, IDP, SAML, SAMLP, SSO, Pen, Story, encrypted, posted, signed, written

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")

Make = Callable[..., SAMLProvider]
LOGIN = LoginRequest(state="c0ffee" * 8, callback_url=CALLBACK, return_to="/app")
EMAIL_FORMAT = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"


def back(document: bytes, request_id: str = "_request") -> Callback:
    return Callback(posted(document), state="s", callback_url=CALLBACK, remembered={"request_id": request_id})


async def begun(provider: SAMLProvider) -> Redirect:
    step = await provider.begin(LOGIN)
    assert isinstance(step, Redirect)
    return step


def asked(url: str) -> Any:
    """The request in a redirect."""
    message = parse_qs(urlsplit(url).query)["SAMLRequest"][0]
    return etree.fromstring(zlib.decompress(base64.b64decode(message), -15))


# -- asking


async def test_a_request_says_who_asks_and_where_the_answer_goes(provider: SAMLProvider, clock: FakeClock) -> None:
    redirect = await begun(provider)
    request = asked(redirect.url)
    assert redirect.returns_by_post
    assert redirect.url.startswith(SSO + "?SAMLRequest=")
    assert parse_qs(urlsplit(redirect.url).query)["RelayState"] == [LOGIN.state]
    assert request.tag == SAMLP + "AuthnRequest"
    assert request.findtext(SAML + "Issuer") == AUDIENCE
    assert dict(request.attrib) == {
        "ID": redirect.remember["request_id"],
        "Version": "2.0",
        "IssueInstant": f"{clock.now():%Y-%m-%dT%H:%M:%SZ}",
        "Destination": SSO,
        "ProtocolBinding": HTTP_POST,
        "AssertionConsumerServiceURL": CALLBACK,
    }


async def test_no_two_requests_have_the_same_id(provider: SAMLProvider) -> None:
    assert len({(await begun(provider)).remember["request_id"] for _ in range(20)}) == 20


async def test_addresses_may_hold_what_xml_and_urls_take_for_their_own(make: Make) -> None:
    url = (await begun(make(idp_sso_url=SSO + '?tenant=a&app="b"', sp_entity_id="urn:<terrapod>&co"))).url
    assert url.startswith(SSO + '?tenant=a&app="b"&SAMLRequest=')
    assert asked(url).get("Destination") == SSO + '?tenant=a&app="b"'
    assert asked(url).findtext(SAML + "Issuer") == "urn:<terrapod>&co"


async def test_a_request_asks_for_the_form_of_name_that_is_set(make: Make) -> None:
    policy = SAMLP + "NameIDPolicy"
    assert asked((await begun(make())).url).find(policy).get("Format") is None
    persistent = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
    assert asked((await begun(make(name_id_format="persistent"))).url).find(policy).get("Format") == persistent


async def test_with_a_key_requests_are_signed(make: Make, own_key: dict[str, str], own_pen: Pen) -> None:
    query = urlsplit((await begun(make(**own_key))).url).query
    text, _, signature = query.partition("&Signature=")
    key = x509.load_pem_x509_certificate(own_pen.certificate.encode()).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(base64.b64decode(parse_qs("Signature=" + signature)["Signature"][0]), text.encode(), padding.PKCS1v15(), hashes.SHA256())
    assert text.endswith("SigAlg=http%3A%2F%2Fwww.w3.org%2F2001%2F04%2Fxmldsig-more%23rsa-sha256")
    assert "Signature" not in (await begun(make())).url


# -- understanding


async def test_who_it_was_is_what_the_assertion_says(provider: SAMLProvider, story: Story, idp_pen: Pen) -> None:
    identity = await provider.finish(back(signed(written(story), idp_pen)))
    assert (identity.issuer, identity.subject, identity.username) == (IDP, "ana-4711", "ana")
    assert (identity.email, identity.email_verified) == ("ana@example.com", True)
    assert identity.groups == {"ops", "dev"}


async def test_an_assertion_may_come_encrypted(make: Make, own_key: dict[str, str], own_pen: Pen, story: Story, idp_pen: Pen) -> None:
    provider = make(**own_key)
    for number, data in enumerate((xmlsec.constants.TransformAes256Gcm, xmlsec.constants.TransformAes256Cbc)):
        asked_by = f"_request{number}"
        told = replace(story, request_id=asked_by, confirmed_request_id=asked_by, assertion_id=f"_assertion{number}")
        document = encrypted(signed(written(told), idp_pen), own_pen.certificate, data=data)
        assert b"ana-4711" not in document
        assert (await provider.finish(back(document, asked_by))).subject == "ana-4711"


async def test_a_prefix_that_only_values_use_may_be_signed_along(provider: SAMLProvider, story: Story, idp_pen: Pen) -> None:
    assert (await provider.finish(back(signed(written(story), idp_pen, keep="xs")))).subject == "ana-4711"


async def test_either_of_two_certificates_will_do_while_the_key_changes(make: Make, story: Story, idp_pen: Pen, stranger: Pen) -> None:
    provider = make(idp_certificate=stranger.certificate + idp_pen.certificate)
    assert (await provider.finish(back(signed(written(story), idp_pen)))).subject == "ana-4711"


async def test_clocks_may_differ_by_less_than_a_minute(provider: SAMLProvider, story: Story, idp_pen: Pen) -> None:
    early = replace(story, not_before=timedelta(seconds=55))
    assert (await provider.finish(back(signed(written(early), idp_pen)))).subject == "ana-4711"
    late = replace(story, ends=timedelta(seconds=-55), request_id="_2", confirmed_request_id="_2", assertion_id="_b")
    assert (await provider.finish(back(signed(written(late), idp_pen), "_2"))).subject == "ana-4711"


async def test_an_answer_is_remembered_until_nobody_would_take_it(
    provider: SAMLProvider, context: PluginContext[Any], story: Story, idp_pen: Pen
) -> None:
    await provider.finish(back(signed(written(story), idp_pen)))
    once = context.once
    assert isinstance(once, MemoryOnce)
    assert set(once.claimed) == {f"{IDP} request _request", f"{IDP} assertion _assertion"}
    assert set(once.claimed.values()) == {story.now + timedelta(minutes=6)}


async def test_an_assertion_for_all_eternity_is_not_remembered_for_so_long(
    provider: SAMLProvider, context: PluginContext[Any], story: Story, idp_pen: Pen
) -> None:
    endless = timedelta(days=365 * 7_900)
    forever = replace(story, ends=endless, confirmation_ends=endless, session_ends=endless)
    await provider.finish(back(signed(written(forever), idp_pen)))
    assert isinstance(context.once, MemoryOnce)
    assert max(context.once.claimed.values()) < story.now + timedelta(days=31)


async def test_an_email_address_may_be_the_name(provider: SAMLProvider, story: Story, idp_pen: Pen) -> None:
    named = replace(story, name_id="ana@example.com", name_id_format=EMAIL_FORMAT, attributes={"uid": ("ana",)})
    identity = await provider.finish(back(signed(written(named), idp_pen)))
    assert (identity.subject, identity.email, identity.groups) == ("ana@example.com", "ana@example.com", frozenset())


async def test_attributes_of_other_names_can_be_set(make: Make, story: Story, idp_pen: Pen) -> None:
    provider = make(
        email_attributes=("Work Mail",), username_attributes=("login",), groups_attributes=("team",), subject_attribute="number"
    )
    attributes = {"Work Mail": ("a@example.com",), "login": ("a",), "team": ("t",), "number": ("7",), "mail": ("x@example.com",)}
    told = replace(story, name_id_format=TRANSIENT, attributes=attributes)
    identity = await provider.finish(back(signed(written(told), idp_pen)))
    assert (identity.subject, identity.email, identity.username, identity.groups) == ("7", "a@example.com", "a", frozenset({"t"}))


@pytest.mark.parametrize("values", [(), ("7", "8")])
async def test_a_subject_that_is_missing_or_double_is_refused(make: Make, story: Story, idp_pen: Pen, values: tuple[str, ...]) -> None:
    told = replace(story, attributes={"mail": ("ana@example.com",), "number": values})
    with pytest.raises(LoginRefused):
        await make(subject_attribute="number").finish(back(signed(written(told), idp_pen)))


async def test_only_the_form_of_name_that_was_asked_for_is_taken(
    make: Make, story: Story, idp_pen: Pen, told: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(LoginRefused):
        await make(name_id_format="email").finish(back(signed(written(story), idp_pen)))
    assert "nameid-format:persistent', not email" in told.messages[-1]


@pytest.mark.parametrize(
    ("settings", "verified"),
    [
        ({}, True),
        ({"trust_email": False}, False),
        ({"email_domains": ("Example.com",)}, True),
        ({"email_domains": ("other.example",)}, False),
        ({"email_domains": ("ample.com",)}, False),
    ],
)
async def test_the_operator_says_whose_addresses_count_as_verified(
    make: Make, story: Story, idp_pen: Pen, settings: dict[str, Any], verified: bool
) -> None:
    identity = await make(**settings).finish(back(signed(written(story), idp_pen)))
    assert identity.email_verified is verified


# -- the document for the other side


def test_its_metadata_says_where_answers_go(provider: SAMLProvider) -> None:
    assert isinstance(provider, SupportsMetadata)
    content_type, document = provider.metadata(CALLBACK)
    root = etree.fromstring(document)
    service = root.find(f"{MD}SPSSODescriptor/{MD}AssertionConsumerService")
    assert content_type == "application/samlmetadata+xml"
    assert root.get("entityID") == AUDIENCE
    assert root.get("validUntil") is None
    assert service is not None
    assert (service.get("Location"), service.get("Binding")) == (CALLBACK, HTTP_POST)
    assert root.find(f"{MD}SPSSODescriptor").attrib["WantAssertionsSigned"] == "true"  # type: ignore[union-attr]
    assert b"Signature" not in document
    assert b"KeyDescriptor" not in document


def test_with_a_key_its_metadata_is_signed(make: Make, own_key: dict[str, str], own_pen: Pen, stranger: Pen) -> None:
    _, document = make(**own_key).metadata(CALLBACK)
    assert OneLogin_Saml2_Utils.validate_metadata_sign(document, cert=own_pen.certificate)
    assert not OneLogin_Saml2_Utils.validate_metadata_sign(document, cert=stranger.certificate)
    uses = [each.get("use") for each in etree.fromstring(document).iter(MD + "KeyDescriptor")]
    assert sorted(str(use) for use in uses) == ["encryption", "signing"]
    assert own_pen.key.splitlines()[1].encode() not in document


def test_names_in_its_metadata_are_escaped(make: Make) -> None:
    _, document = make(sp_entity_id='urn:a"b&<c>').metadata(CALLBACK)
    assert etree.fromstring(document).get("entityID") == 'urn:a"b&<c>'


# -- the bench


async def test_beyond_thirty_two_that_wait_the_next_is_told_to_come_back() -> None:
    bench, gate = Bench(), threading.Event()
    held = [asyncio.create_task(bench.apart(gate.wait)) for _ in range(1 + MOST_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(LoginRefused) as refused:
        await bench.apart(lambda: None)
    assert refused.value.retry_after
    gate.set()
    await asyncio.gather(*held)
    assert await bench.apart(lambda: "there is room again")


async def test_signatures_are_checked_one_at_a_time_and_off_the_event_loop() -> None:
    benches, running, most = [Bench(), Bench()], 0, 0

    def work() -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        threading.Event().wait(0.002)
        running -= 1
        return threading.get_ident()

    threads = await asyncio.gather(*(bench.apart(work) for bench in benches * 5))
    assert most == 1
    assert threading.get_ident() not in threads
