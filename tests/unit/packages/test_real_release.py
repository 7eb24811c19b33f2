"""A release as HashiCorp has published it, and its key, which was to end in April 2026: signed by a subkey, as all releases are."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pysequoia import ArmorKind, Cert, armor

from terrapod_core.errors import Invalid
from terrapod_core.packages import openpgp
from terrapod_core.packages.renewed import is_made_by
from tests.support import ROOT
from tests.support.releases import Publisher

FILES = Path(__file__).parent / "releases"
RENEWED = (FILES / "hashicorp_renewed.asc").read_text()
"""As it is exported since the key was renewed in February 2026: it says nothing of the time when the release was signed."""
WHOLE = (ROOT / "plugins/terrapod-mirror-hashicorp/src/terrapod_mirror_hashicorp/hashicorp.asc").read_text()
"""As it comes along with the plugin, with what it said before."""
TOFU = (ROOT / "plugins/terrapod-mirror-opentofu/src/terrapod_mirror_opentofu/opentofu.asc").read_text()

SIGNED = datetime(2024, 10, 16, 13, 7, 54, tzinfo=UTC)
NOW = datetime(2026, 11, 29, tzinfo=UTC)
SUMS = (FILES / "terraform_1.9.8_SHA256SUMS").read_bytes()
SIGNATURE = (FILES / "terraform_1.9.8_SHA256SUMS.sig").read_bytes()


@pytest.mark.parametrize("key", [RENEWED, WHOLE], ids=["renewed", "whole"])
@pytest.mark.parametrize("now", [SIGNED, NOW], ids=["then", "now"])
def test_its_signature_is_right(key: str, now: datetime) -> None:
    assert openpgp.verify(SUMS, SIGNATURE, key, now) == SIGNATURE


@pytest.mark.parametrize("key", [RENEWED, WHOLE], ids=["renewed", "whole"])
@pytest.mark.parametrize("document", [SUMS + b"\n", SUMS.replace(b"be591e8c", b"ce591e8c"), SUMS[:-1], b""])
def test_and_of_these_bytes_alone(key: str, document: bytes) -> None:
    with pytest.raises(Invalid, match="did not sign these bytes"):
        openpgp.verify(document, SIGNATURE, key, NOW)


def test_another_publishers_key_did_not_make_it() -> None:
    with pytest.raises(Invalid, match="it was made with the key"):
        openpgp.verify(SUMS, SIGNATURE, TOFU, NOW)
    assert not is_made_by(SUMS, SIGNATURE, TOFU, NOW)


def test_it_did_not_count_before_it_was_made() -> None:
    assert is_made_by(SUMS, SIGNATURE, RENEWED, SIGNED)
    assert not is_made_by(SUMS, SIGNATURE, RENEWED, datetime(2024, 10, 16, tzinfo=UTC))


@pytest.mark.parametrize("at", range(0, len(SIGNATURE), 7))
def test_a_signature_with_another_byte_is_none(at: int) -> None:
    if 46 <= at <= 47:
        pytest.skip("the first bits of the digest, which only save time")
    changed = SIGNATURE[:at] + bytes([SIGNATURE[at] ^ 1]) + SIGNATURE[at + 1 :]
    assert not is_made_by(SUMS, changed, RENEWED, NOW)


def binary(key: str) -> bytes:
    return bytes(Cert.from_bytes(key.encode()))


def test_a_subkey_that_its_primary_key_did_not_bind_signs_nothing() -> None:
    """Bytes of the binding, and of what the subkey says to it."""
    raw = binary(RENEWED)
    assert is_made_by(SUMS, SIGNATURE, armor(raw, ArmorKind.PublicKey), NOW)
    for back in range(1, 1150, 29):
        changed = raw[:-back] + bytes([raw[-back] ^ 4]) + raw[len(raw) - back + 1 :]
        assert not is_made_by(SUMS, SIGNATURE, armor(changed, ArmorKind.PublicKey), NOW), back


def test_a_subkey_under_somebody_elses_key_signs_nothing() -> None:
    raw = binary(RENEWED)
    subkey = raw[raw.index(bytes.fromhex("0460805c2601")) - 3 :]
    assert is_made_by(SUMS, SIGNATURE, armor(raw[: -len(subkey)] + subkey, ArmorKind.PublicKey), NOW)
    stranger = bytes(Publisher().public)
    assert not is_made_by(SUMS, SIGNATURE, armor(stranger + subkey, ArmorKind.PublicKey), NOW)


def test_keys_of_others_verify_alike() -> None:
    publisher = Publisher()
    made = publisher.sign(SUMS)
    later = datetime(2040, 1, 1, tzinfo=UTC)
    assert is_made_by(SUMS, made, publisher.armor, later)
    assert not is_made_by(SUMS + b"x", made, publisher.armor, later)
    assert not is_made_by(SUMS, made, Publisher().armor, later)


def test_nothing_that_is_broken_is_more_than_refused() -> None:
    publisher = Publisher()
    made, raw = publisher.sign(SUMS), bytes(publisher.public)
    later = datetime(2040, 1, 1, tzinfo=UTC)
    for at in range(0, len(made), 3):
        is_made_by(SUMS, made[:at] + b"\xff" + made[at + 1 :], publisher.armor, later)
        assert not is_made_by(SUMS, made[:at], publisher.armor, later)
    for at in range(0, len(raw), 3):
        is_made_by(SUMS, made, armor(raw[:at] + b"\xff" + raw[at + 1 :], ArmorKind.PublicKey), later)
    assert not is_made_by(SUMS, made, "no armour", later)
    assert not is_made_by(SUMS, b"", publisher.armor, later)
