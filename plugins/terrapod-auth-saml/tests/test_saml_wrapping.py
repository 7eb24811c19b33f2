"""A signature that verifies, and a reader who is made to look elsewhere: XML signature wrapping, and noise."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies
from lxml import etree

from terrapod_auth_saml.assertion import Expected
from terrapod_auth_saml.provider import SAMLProvider
from terrapod_auth_saml.refusal import Refusal
from terrapod_auth_saml.response import Answer, judged
from terrapod_auth_saml.signature import signed_bytes
from terrapod_core.plugin import Callback, LoginRefused
from tests.support.saml_forge import AUDIENCE, CALLBACK, DS, IDP, SAML, SAMLP, Pen, Story, posted, signed, verifies, written

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")

Tree = Any
"""lxml's elements, which its stubs make awkward to move about."""


def assertion_in(response: Tree) -> Tree:
    return response.find(SAML + "Assertion")


def signature_in(element: Tree) -> Tree:
    return element.find(DS + "Signature")


def evil(element: Tree, *, keep_signature: bool = False) -> Tree:
    """The same under another ID, about somebody else."""
    twin = deepcopy(element)
    for held in [] if keep_signature else list(twin.iter(DS + "Signature")):
        held.getparent().remove(held)
    for each in twin.iter(SAML + "Assertion", SAMLP + "Response"):
        each.set("ID", each.get("ID") + "-evil")
    for name in twin.iter(SAML + "NameID"):
        name.text = "mallory"
    return twin


def within_signature_of_message(response: Tree) -> Tree:
    """1: an evil response carries the signature, and the signed response inside it."""
    wrapper = evil(response)
    signature = deepcopy(signature_in(response))
    original = deepcopy(response)
    original.remove(signature_in(original))
    wrapper.insert(1, signature)
    signature.append(original)
    return wrapper


def before_signature_of_message(response: Tree) -> Tree:
    """2: the signed response stands beside the signature."""
    wrapper = evil(response)
    signature = deepcopy(signature_in(response))
    original = deepcopy(response)
    original.remove(signature_in(original))
    wrapper.insert(1, signature)
    wrapper.insert(1, original)
    return wrapper


def evil_first(response: Tree) -> Tree:
    """3: an evil assertion before the signed one."""
    response.insert(response.index(assertion_in(response)), evil(assertion_in(response)))
    return response


def evil_around(response: Tree) -> Tree:
    """4: an evil assertion holds the signed one."""
    original = assertion_in(response)
    wrapper = evil(original)
    response.replace(original, wrapper)
    wrapper.append(original)
    return response


def evil_takes_signature(response: Tree) -> Tree:
    """5: the evil assertion has the signature, the signed one follows without."""
    original = assertion_in(response)
    signature = signature_in(original)
    wrapper = evil(original)
    original.remove(signature)
    wrapper.insert(1, signature)
    response.insert(response.index(original), wrapper)
    return response


def original_in_signature(response: Tree) -> Tree:
    """6: the signed assertion inside the signature inside the evil one."""
    original = assertion_in(response)
    signature = signature_in(original)
    wrapper = evil(original)
    original.remove(signature)
    response.replace(original, wrapper)
    wrapper.insert(1, signature)
    signature.append(original)
    return response


def evil_in_extensions(response: Tree) -> Tree:
    """7: an evil assertion in the extensions, which the schema leaves open."""
    extensions = etree.Element(SAMLP + "Extensions")
    extensions.append(evil(assertion_in(response)))
    response.insert(1, extensions)
    return response


def original_in_object(response: Tree) -> Tree:
    """8: the signed assertion in an object of the signature."""
    response = original_in_signature(response)
    signature = next(response.iter(DS + "Signature"))
    holder = etree.SubElement(signature, DS + "Object")
    holder.append(signature.find(SAML + "Assertion"))
    return response


def evil_of_the_same_id(response: Tree) -> Tree:
    """The evil assertion goes by the signed one's ID."""
    twin = evil(assertion_in(response))
    twin.set("ID", assertion_in(response).get("ID"))
    response.append(twin)
    return response


def evil_deep_inside(response: Tree) -> Tree:
    """An evil assertion where an attribute of the message's status may hold anything."""
    detail = etree.SubElement(response.find(SAMLP + "Status"), SAMLP + "StatusDetail")
    detail.append(evil(assertion_in(response)))
    return response


WRAPPINGS: list[tuple[Callable[[Tree], Tree], str]] = [
    (within_signature_of_message, SAMLP + "Response"),
    (before_signature_of_message, SAMLP + "Response"),
    (evil_first, SAML + "Assertion"),
    (evil_around, SAML + "Assertion"),
    (evil_takes_signature, SAML + "Assertion"),
    (original_in_signature, SAML + "Assertion"),
    (evil_in_extensions, SAML + "Assertion"),
    (original_in_object, SAML + "Assertion"),
    (evil_deep_inside, SAML + "Assertion"),
]


def wrapped(wrap: Callable[[Tree], Tree], covered: str, story: Story, by: Pen) -> bytes:
    document = signed(written(story), by)
    if covered != SAML + "Assertion":
        document = signed(document, by, covered)
    return etree.tostring(wrap(etree.fromstring(document)))


def back(document: bytes) -> Callback:
    return Callback(posted(document), state="s", callback_url=CALLBACK, remembered={"request_id": "_request"})


@pytest.mark.parametrize(("wrap", "covered"), WRAPPINGS, ids=[wrap.__name__ for wrap, _ in WRAPPINGS])
async def test_a_signature_that_verifies_does_not_vouch_for_what_is_wrapped_around_it(
    provider: SAMLProvider, story: Story, idp_pen: Pen, wrap: Callable[[Tree], Tree], covered: str
) -> None:
    document = wrapped(wrap, covered, story, idp_pen)
    if wrap not in (original_in_signature, original_in_object):  # libxmlsec itself sees through these two
        assert verifies(document, idp_pen.certificate), "the signature is good: whoever asks no more is taken in"
    assert b"mallory" in document
    with pytest.raises(LoginRefused):
        await provider.finish(back(document))


def test_a_signature_vouches_for_the_element_it_is_in_and_no_other(provider: SAMLProvider, story: Story, idp_pen: Pen) -> None:
    response = etree.fromstring(wrapped(evil_takes_signature, SAML + "Assertion", story, idp_pen))
    with pytest.raises(Refusal, match="refers to another element"):
        signed_bytes(assertion_in(response), provider._known.certificates)


async def test_two_assertions_of_one_id_are_refused(
    provider: SAMLProvider, story: Story, idp_pen: Pen, told: pytest.LogCaptureFixture
) -> None:
    document = wrapped(evil_of_the_same_id, SAML + "Assertion", story, idp_pen)
    with pytest.raises(LoginRefused):
        await provider.finish(back(document))
    assert "two elements have the same ID" in told.messages[-1]


async def test_two_signed_assertions_are_refused(
    provider: SAMLProvider, story: Story, idp_pen: Pen, told: pytest.LogCaptureFixture
) -> None:
    def two(response: Tree) -> Tree:
        other = deepcopy(assertion_in(response))
        other.set("ID", "_another")
        response.append(other)
        return response

    with pytest.raises(LoginRefused):
        await provider.finish(back(wrapped(two, SAML + "Assertion", story, idp_pen)))
    assert "holds 2 assertions" in told.messages[-1]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=strategies.data())
def test_no_change_of_a_byte_makes_somebody_else_of_anybody(
    provider: SAMLProvider, story: Story, idp_pen: Pen, data: strategies.DataObject
) -> None:
    document = signed(written(story), idp_pen)
    begin, end = document.index(b"<saml:Assertion"), document.index(b"</samlp:Response")
    changed = bytearray(document)
    for _ in range(data.draw(strategies.integers(1, 3))):
        at = data.draw(strategies.integers(begin, end - 1))
        how = data.draw(strategies.sampled_from(["change", "insert", "remove", "double"]))
        byte = data.draw(strategies.integers(1, 255))
        if how == "change":
            changed[at] = byte
        elif how == "insert":
            changed.insert(at, byte)
        elif how == "remove":
            del changed[at]
        else:
            changed[at:at] = changed[at : at + 40]
    expected = Expected(IDP, AUDIENCE, CALLBACK, "_request", story.now)
    try:
        found = judged(Answer(posted(bytes(changed))["SAMLResponse"], provider._known, expected))
    except Refusal:
        return
    assert (found.name_id, found.id) == ("ana-4711", "_assertion")
    assert dict(found.attributes) == {"mail": ("ana@example.com",), "uid": ("ana",), "groups": ("ops", "dev")}


async def test_the_signed_text_counts_however_it_is_spelled(provider: SAMLProvider, story: Story, idp_pen: Pen) -> None:
    document = signed(written(story), idp_pen).replace(b"ana-4711", b"&#97;na-47<![CDATA[11]]>")
    identity = await provider.finish(back(document))
    assert identity.subject == "ana-4711"
