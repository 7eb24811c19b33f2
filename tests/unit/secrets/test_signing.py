from __future__ import annotations

import base64
import hmac
import re

import pytest
from hypothesis import given, strategies as st

from terrapod_core.secrets import Keyring, Signer, new_key
from terrapod_core.secrets.keyring import place

KEYRING = Keyring(new_key())


@given(payload=st.binary(max_size=100))
def test_a_signed_payload_reads_back_and_is_one_path_segment(payload: bytes) -> None:
    token = Signer(KEYRING, "capability").sign(payload)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    assert Signer(KEYRING, "capability").read(token) == payload


def test_a_token_of_another_purpose_or_another_installation_is_nothing() -> None:
    token = Signer(KEYRING, "capability").sign(b"payload")
    assert Signer(KEYRING, "phase").read(token) is None
    assert Signer(Keyring(new_key()), "capability").read(token) is None


@pytest.mark.parametrize("key", [b"", bytes(32)])
def test_a_token_naming_a_key_that_is_not_in_force_is_nothing_whatever_it_was_signed_with(key: bytes) -> None:
    body = bytes([1, 4]) + b"gone" + b"payload"
    mac = hmac.digest(key, place("capability", body), "sha256")
    assert Signer(KEYRING, "capability").read(base64.urlsafe_b64encode(body + mac).rstrip(b"=").decode()) is None


@pytest.mark.parametrize("payload", [b"payload", b"payload!", b"payload!!"])
def test_every_altered_character_makes_a_token_nothing(payload: bytes) -> None:
    signer = Signer(KEYRING, "capability")
    token = signer.sign(payload)
    for at in range(len(token)):
        for other in "AB_-z":
            if token[at] != other:
                assert signer.read(token[:at] + other + token[at + 1 :]) is None


@given(token=st.text(max_size=120))
def test_any_text_is_read_without_failing(token: str) -> None:
    assert Signer(KEYRING, "capability").read(token) is None


def test_a_token_has_one_spelling_only() -> None:
    signer = Signer(KEYRING, "capability")
    token = signer.sign(b"payload")
    assert [signer.read(other) for other in (token + "=", token + "==", token + "\n", "." + token, token[:5] + "!" + token[5:])] == [
        None
    ] * 5
