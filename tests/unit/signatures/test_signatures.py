"""The one profile of signed requests: what is signed, how it is written, and everything that is refused beside it."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa

from terrapod_core.signatures import Message, NotSigned, PrivateKey, Signature, Signer, algorithm_of, digest_of, new_key, parse

URL = "https://tfe.example.com/api/v2/listeners/agent-1/heartbeat?a=b"
BODY = b'{"data":{}}'


def signed(key: PrivateKey, body: bytes = BODY, url: str = URL) -> tuple[dict[str, str], Message]:
    """The headers of a signed request, and the request as a server meets it."""
    headers = Signer(key, "ab12", clock=lambda: 1_800_000_000.5).headers("POST", url, body)
    query = url.partition("?")[2]
    return headers, Message("POST", "tfe.example.com", "/api/v2/listeners/agent-1/heartbeat", query, headers, bool(body))


def read(headers: dict[str, str], message: Message) -> Signature:
    return parse(headers["signature-input"], headers["signature"], message)


@pytest.mark.parametrize("key", [new_key(), generate_private_key(SECP256R1())], ids=["ed25519", "p-256"])
@pytest.mark.parametrize("body", [BODY, b""], ids=["body", "no body"])
def test_what_was_signed_is_verified(key: PrivateKey, body: bytes) -> None:
    headers, message = signed(key, body)
    signature = read(headers, message)
    assert signature.is_of(key.public_key(), message)
    assert not signature.is_of(new_key().public_key(), message)
    assert (signature.key_id, signature.created) == ("ab12", datetime.fromtimestamp(1_800_000_000, UTC))
    assert headers["content-digest"] == digest_of(body)
    assert ("content-type" in headers) is bool(body)


def test_the_example_of_the_standard_gives_the_signature_of_the_standard() -> None:
    """RFC 9421, appendix B.2.6."""
    key = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode("n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU="))
    covered = ("date", "@method", "@path", "@authority", "content-type", "content-length")
    named = " ".join(f'"{name}"' for name in covered)
    sent = {"date": "Tue, 20 Apr 2021 02:07:55 GMT", "content-type": "application/json", "content-length": "18"}
    base = Message("POST", "example.com", "/foo", "", sent, True).base(covered, f'({named});created=1618884473;keyid="test-key-ed25519"')
    wanted = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    assert base64.b64encode(key.sign(base)).decode() == wanted


ALTERED: dict[str, dict[str, Any]] = {
    "@method": {"method": "PATCH"},
    "@authority": {"authority": "other.example.com"},
    "@path": {"path": "/api/v2/listeners/agent-1/renew"},
    "@query": {"query": "a=c"},
}


@pytest.mark.parametrize("component", ALTERED)
def test_a_request_altered_on_its_way_is_not_what_was_signed(component: str) -> None:
    key = new_key()
    headers, message = signed(key)
    altered = replace(message, **ALTERED[component])
    assert not read(headers, altered).is_of(key.public_key(), altered)


@pytest.mark.parametrize(
    ("header", "value"), [("content-digest", digest_of(b"other")), ("content-type", "text/plain"), ("content-length", "12")]
)
def test_a_header_altered_on_its_way_is_not_what_was_signed(header: str, value: str) -> None:
    key = new_key()
    headers, message = signed(key)
    altered = replace(message, headers={**headers, header: value})
    assert not read(headers, altered).is_of(key.public_key(), altered)
    dropped = replace(message, headers={name: each for name, each in headers.items() if name != header})
    with pytest.raises(NotSigned, match=f"header {header} is signed and must be sent"):
        read(headers, dropped)


@pytest.mark.parametrize("name", ["@method", "@authority", "@path", "@query", "content-digest", "content-type", "content-length"])
def test_each_component_is_needed_once(name: str) -> None:
    headers, message = signed(new_key())
    without = re.sub(rf'"{name}" ?', "", headers["signature-input"]).replace(" )", ")")
    twice = headers["signature-input"].replace(f'"{name}"', f'"{name}" "{name}"')
    for changed in (without, twice, headers["signature-input"].replace(f'"{name}"', f'"{name}";sf')):
        with pytest.raises(NotSigned):
            parse(changed, headers["signature"], message)


def test_a_component_more_is_refused_and_a_body_needs_its_own() -> None:
    headers, message = signed(new_key())
    with pytest.raises(NotSigned, match="sign exactly @method"):
        parse(headers["signature-input"].replace('("@method"', '("date" "@method"'), headers["signature"], message)
    bare, without_body = signed(new_key(), b"")
    with pytest.raises(NotSigned, match="content-length"):
        parse(bare["signature-input"], bare["signature"], replace(without_body, has_body=True))


@pytest.mark.parametrize("name", ["created", "expires", "nonce", "keyid", "alg", "tag"])
def test_each_parameter_is_needed_once(name: str) -> None:
    headers, message = signed(new_key())
    found = re.search(rf";{name}=[^;]+", headers["signature-input"])
    assert found is not None
    for changed in ("", found[0] * 2, found[0] + ";more=1", f";{name}=" + ("1" if '"' in found[0] else '"x"'), f";{name}"):
        with pytest.raises(NotSigned):
            parse(headers["signature-input"].replace(found[0], changed), headers["signature"], message)


@pytest.mark.parametrize(
    ("pattern", "value", "says"),
    [
        (r'tag="[^"]+"', 'tag="something-else"', "its tag must be"),
        (r'nonce="[^"]+"', 'nonce="short"', "128 bits"),
        (r'keyid="[^"]+"', 'keyid="AB12"', "lower-case hexadecimal"),
        (r"expires=\d+", "expires=1800000061", "at most 60 seconds"),
        (r"expires=\d+", "expires=1800000000", "at most 60 seconds"),
        (r"created=\d+", "created=999999999999999", "seconds since 1970"),
    ],
)
def test_a_parameter_has_the_value_that_the_profile_allows(pattern: str, value: str, says: str) -> None:
    headers, message = signed(new_key())
    with pytest.raises(NotSigned, match=says):
        parse(re.sub(pattern, value, headers["signature-input"]), headers["signature"], message)


@pytest.mark.parametrize("pattern", [r'nonce="[^"]+"', r"created=\d+", r'keyid="[^"]+"', r"expires=\d+"])
def test_a_parameter_altered_on_its_way_is_not_what_was_signed(pattern: str) -> None:
    key = new_key()
    headers, message = signed(key)
    values = {"n": 'nonce="0123456789012345678901"', "c": "created=1799999999", "k": 'keyid="ab13"', "e": "expires=1800000059"}
    changed = re.sub(pattern, values[pattern[0]], headers["signature-input"])
    if pattern[0] == "c":
        changed = changed.replace("expires=1800000060", "expires=1800000050")
    assert not parse(changed, headers["signature"], message).is_of(key.public_key(), message)


def test_two_signatures_are_one_too_many() -> None:
    headers, message = signed(new_key())
    other = {name: headers[name].replace("sig1=", "sig2=") for name in ("signature", "signature-input")}
    for described, made in (
        (f"{headers['signature-input']}, {other['signature-input']}", f"{headers['signature']}, {other['signature']}"),
        (headers["signature-input"], f"{headers['signature']}, {other['signature']}"),
        (headers["signature-input"], other["signature"]),
    ):
        with pytest.raises(NotSigned, match="one signature"):
            parse(described, made, message)


@pytest.mark.parametrize(
    "text", ["", "sig1", "sig1=()", 'sig1=("@method";created=1', "x" * 5000, 'sig1=("@method"  "@path")', "sig1=(@method)"]
)
def test_what_is_no_signature_is_refused(text: str) -> None:
    headers, message = signed(new_key())
    with pytest.raises(NotSigned):
        parse(text, headers["signature"], message)
    with pytest.raises(NotSigned):
        parse(headers["signature-input"], text, message)


def test_a_key_signs_in_its_one_way() -> None:
    key = generate_private_key(SECP256R1())
    headers, message = signed(key)
    claimed = headers["signature-input"].replace("ecdsa-p256-sha256", "ed25519")
    assert not parse(claimed, headers["signature"], message).is_of(key.public_key(), message)
    assert algorithm_of(generate_private_key(SECP384R1())) is None
    assert algorithm_of(generate_rsa(65537, 2048)) is None


def test_a_cut_signature_and_one_in_another_form_do_not_verify() -> None:
    key = new_key()
    headers, message = signed(key)
    value = base64.b64decode(headers["signature"].removeprefix("sig1=:").removesuffix(":"))
    for changed in (value[:-1], value + b"\0", bytes(64)):
        made = f"sig1=:{base64.b64encode(changed).decode()}:"
        assert not parse(headers["signature-input"], made, message).is_of(key.public_key(), message)


@pytest.mark.parametrize(("url", "authority"), [("https://TFE.example.com:443/x", "tfe.example.com"), ("http://h:8080/x", "h:8080")])
def test_the_authority_is_written_without_the_port_that_goes_without_saying(url: str, authority: str) -> None:
    key = new_key()
    headers = Signer(key, "ab12").headers("GET", url)
    message = Message("GET", authority, "/x", "", headers)
    assert parse(headers["signature-input"], headers["signature"], message).is_of(key.public_key(), message)


def test_a_signer_that_heard_the_servers_time_signs_by_it() -> None:
    signer = Signer(new_key(), "ab12", clock=lambda: 1_000.0)
    signer.heard(4_600.0)
    assert ";created=4600;expires=4660;" in signer.headers("GET", "http://h/x")["signature-input"]
