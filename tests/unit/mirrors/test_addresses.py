"""Addresses of sources as they come in URLs: brought into one form, or refused with what is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from terrapod_core.errors import NotFound
from terrapod_core.mirrors import addresses


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("registry.terraform.io", "registry.terraform.io"),
        ("Registry.Terraform.IO", "registry.terraform.io"),
        ("registry.terraform.io:443", "registry.terraform.io"),
        ("registry.terraform.io:08443", "registry.terraform.io:8443"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example:8443", "xn--bcher-kva.example:8443"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("localhost:8443", "localhost:8443"),
        ("127.0.0.1:8443", "127.0.0.1:8443"),
    ],
)
def test_a_host_has_one_form(text: str, host: str) -> None:
    assert addresses.host_of(text) == host


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "..", "a..b", "-a.example", "a-.example", "a_b.example", "a b.example", "a/b", "a\\b", "a%2eb", "a%00b", "a\0b", "a\nb"),
        *("user@a.example", "a.example:", "a.example:0", "a.example:65536", "a.example:-1", "a.example:4_43", "a.example:٤٤٣", "a:1:2"),
        *("10.0.0.1", "169.254.169.254", "0x7f.1", "[::1]", "::1", "a." * 200 + "b", "a" * 64 + ".example", "a" * 100_000, "ä" * 300),
    ],
)
def test_what_is_no_host_is_refused_in_a_short_sentence(text: str) -> None:
    with pytest.raises(NotFound, match="is no host name of a registry") as refused:
        addresses.host_of(text)
    assert len(refused.value.detail) < 1500


@given(st.text(max_size=300))
def test_no_text_breaks_it_and_what_passes_is_plain(text: str) -> None:
    try:
        host = addresses.host_of(text)
    except NotFound:
        return
    assert host.isascii()
    assert host == host.lower() == addresses.host_of(host)
    assert not set(host) & set("/\\%?#@ \0")


@pytest.mark.parametrize("word", ["", ".", "..", "a/b", "a.b", "-a", "a-", "a" * 65, "ä", "a\0", "%2e%2e", "a b"])
def test_words_that_are_none_are_refused(word: str) -> None:
    for address in (
        lambda: addresses.provider("a.example", word, "fake"),
        lambda: addresses.provider("a.example", "acme", word),
        lambda: addresses.module("a.example", word, "pet", "null"),
        lambda: addresses.module("a.example", "acme", word, "null"),
        lambda: addresses.module("a.example", "acme", "pet", word),
        lambda: addresses.platform("linux", word),
        lambda: addresses.version(word),
    ):
        with pytest.raises(NotFound):
            address()


def test_a_providers_words_are_in_lower_case_and_a_modules_as_they_are() -> None:
    assert str(addresses.provider("A.example", "ACME", "Fake")) == "a.example/acme/fake"
    assert str(addresses.module("A.example", "Acme", "Pet", "null")) == "a.example/Acme/Pet/null"
