"""Keys and signatures, made with the same library and with GnuPG where it is there: the right ones pass, each wrong one says why."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pysequoia import Profile, Sig, Tsk

from terrapod_core.errors import Invalid
from terrapod_core.packages import openpgp
from tests.support.releases import Publisher

NOW = datetime.now(UTC)
SUMS = b"0  terraform-provider-fake_1.0.0_linux_amd64.zip\n"


@pytest.fixture(scope="module")
def publisher() -> Publisher:
    return Publisher()


def test_a_key_is_known_by_the_id_that_terraform_shows(publisher: Publisher) -> None:
    key = openpgp.read_key(publisher.armor, NOW)
    assert key.key_id == publisher.key_id
    assert (len(key.key_id), key.key_id.upper()) == (16, key.key_id)
    assert (key.user, key.expires_at) == ("Publisher <publisher@example.com>", None)


def test_a_signature_of_the_key_passes_and_comes_back_binary(publisher: Publisher) -> None:
    binary = publisher.sign(SUMS)
    assert openpgp.verify(SUMS, binary, publisher.armor, NOW) == binary
    assert openpgp.verify(SUMS, publisher.sign(SUMS, armor=True), publisher.armor, NOW)[:1] == binary[:1]


def test_a_signature_over_other_bytes_or_by_another_key_is_refused(publisher: Publisher) -> None:
    other = Publisher("Somebody else")
    with pytest.raises(Invalid, match="did not sign these bytes"):
        openpgp.verify(SUMS + b"\n", publisher.sign(SUMS), publisher.armor, NOW)
    signing = str(Sig.from_bytes(other.sign(SUMS)).issuer_key_id).upper()
    with pytest.raises(Invalid, match=f"it was made with the key {signing}, and this version names the key {publisher.key_id}"):
        openpgp.verify(SUMS, other.sign(SUMS), publisher.armor, NOW)
    for junk in (b"", b"junk", SUMS, publisher.armor.encode()):
        with pytest.raises(Invalid, match="the signature of SHA256SUMS is refused: it cannot be read"):
            openpgp.verify(SUMS, junk, publisher.armor, NOW)


def test_a_key_that_expired_or_was_revoked_is_refused_with_the_reason(publisher: Publisher) -> None:
    ended = NOW + timedelta(hours=1)
    after = ended + timedelta(seconds=1)
    expired, revoked = publisher.expired(ended), publisher.revoked()
    assert openpgp.read_key(expired, ended - timedelta(seconds=1)).expires_at is not None
    with pytest.raises(Invalid, match=f"the key {publisher.key_id} expired on {ended:%Y-%m-%d}"):
        openpgp.read_key(expired, after)
    with pytest.raises(Invalid, match=f"the key {publisher.key_id} is revoked"):
        openpgp.read_key(revoked, after)
    for armor in (expired, revoked):
        with pytest.raises(Invalid, match=f"this key is refused: the key {publisher.key_id}"):
            openpgp.verify(SUMS, publisher.sign(SUMS), armor, after)


def test_what_is_no_single_public_key_is_refused(publisher: Publisher) -> None:
    head, tail = "-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----END PGP PUBLIC KEY BLOCK-----"
    six = str(Tsk.generate("Six", profile=Profile.RFC9580).extract_certificate())
    disguised = str(publisher.secret).replace("PRIVATE", "PUBLIC")
    for armor, why in {
        "": "as `gpg --armor --export` writes it",
        "ssh-ed25519 AAAA": "as `gpg --armor --export` writes it",
        str(publisher.secret): "as `gpg --armor --export` writes it",
        disguised: "it is a secret key",
        f"{head}\n\nabcd\n{tail}\n": "this key is refused",
        publisher.armor + Publisher("Second").armor: "keyring",
        publisher.armor + "\n" * openpgp.ARMOR_BYTES: "at most 256 KiB",
        six: "keys of version 4 only",
    }.items():
        with pytest.raises(Invalid, match=why) as refused:
            openpgp.read_key(armor, NOW)
        assert "backtrace" not in refused.value.detail


def test_the_key_of_the_server_signs_what_its_public_key_verifies() -> None:
    key = openpgp.new_key("Terrapod")
    assert openpgp.read_key(key.armor, NOW).key_id == key.key_id
    signature = openpgp.sign(SUMS, key.secret)
    assert openpgp.verify(SUMS, signature, key.armor, NOW) == signature
    assert "PRIVATE" not in key.armor


@pytest.mark.skipif(shutil.which("gpg") is None, reason="no gpg on PATH (Debian: apt-get install gnupg)")
def test_what_gnupg_makes_is_read(tmp_path: Path) -> None:
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)

    def gpg(*arguments: str, said: bytes = b"") -> bytes:
        command = ["gpg", "--homedir", str(home), "--batch", "--pinentry-mode", "loopback", "--passphrase", "", *arguments]
        return subprocess.run(command, input=said, capture_output=True, check=True, timeout=60).stdout

    try:
        gpg("--quick-generate-key", "Jane <jane@example.com>", "rsa2048", "sign", "never")
        armor = gpg("--armor", "--export", "jane@example.com").decode()
        key = openpgp.read_key(armor, NOW + timedelta(minutes=1))
        assert key.user == "Jane <jane@example.com>"
        assert openpgp.verify(SUMS, gpg("--detach-sign", said=SUMS), armor, NOW + timedelta(minutes=1))
        with pytest.raises(Invalid, match="make it over the file as it is"):
            openpgp.verify(SUMS, gpg("--textmode", "--detach-sign", said=SUMS), armor, NOW + timedelta(minutes=1))
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, timeout=60)
