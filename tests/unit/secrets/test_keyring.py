from __future__ import annotations

import base64
import pickle
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from terrapod_core.secrets import Keyring, KeyringError, SecretUnreadable, new_key
from terrapod_core.secrets.keyring import place
from terrapod_core.secrets.providers import SettingsKeys

OLD = "old:" + base64.b64encode(b"o" * 32).decode()
NEW = "new:" + base64.b64encode(b"n" * 32).decode()
SECRET = b"a very planted secret"


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(f"{NEW},{OLD}")


@given(plaintext=st.binary(max_size=300), column=st.text(min_size=1), row=st.text(min_size=1))
def test_what_is_sealed_opens_in_its_own_place(plaintext: bytes, column: str, row: str) -> None:
    keyring = Keyring(NEW)
    assert keyring.open(keyring.seal(plaintext, column=column, row=row), column=column, row=row) == plaintext


def test_sealing_twice_gives_different_bytes_and_neither_shows_the_secret(keyring: Keyring) -> None:
    sealed = {keyring.seal(SECRET, column="vars.value", row="var-1") for _ in range(2)}
    assert len(sealed) == 2
    assert not any(SECRET in value for value in sealed)


@pytest.mark.parametrize(("column", "row"), [("vars.value", "var-2"), ("users.password", "var-1"), ("vars.value|var-1", "x")])
def test_a_value_moved_to_another_row_or_column_is_refused(keyring: Keyring, column: str, row: str) -> None:
    sealed = keyring.seal(SECRET, column="vars.value", row="var-1")
    with pytest.raises(SecretUnreadable):
        keyring.open(sealed, column=column, row=row)


def test_the_border_between_column_and_row_is_part_of_the_place(keyring: Keyring) -> None:
    assert place("ab", "c") != place("a", "bc")
    with pytest.raises(SecretUnreadable):
        keyring.open(keyring.seal(SECRET, column="ab", row="c"), column="a", row="bc")


def test_a_sealed_column_is_no_wrapped_data_key(keyring: Keyring) -> None:
    with pytest.raises(SecretUnreadable):
        keyring.unwrap(keyring.seal(SECRET, column="state", row="sv-1"), kind="state", object_id="sv-1")


def test_every_altered_byte_of_a_sealed_value_is_refused(keyring: Keyring) -> None:
    sealed = keyring.seal(SECRET, column="c", row="r")
    for at in range(len(sealed)):
        altered = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(SecretUnreadable):
            keyring.open(altered, column="c", row="r")


def test_every_shortened_sealed_value_is_refused(keyring: Keyring) -> None:
    sealed = keyring.seal(SECRET, column="c", row="r")
    for length in range(len(sealed)):
        with pytest.raises(SecretUnreadable):
            keyring.open(sealed[:length], column="c", row="r")


def test_the_newest_key_seals_and_an_older_one_still_opens() -> None:
    sealed = Keyring(OLD).seal(SECRET, column="c", row="r")
    rotated = Keyring(f"{NEW},{OLD}")
    assert rotated.open(sealed, column="c", row="r") == SECRET
    assert Keyring.key_id_of(sealed) == "old"
    assert Keyring.key_id_of(rotated.seal(SECRET, column="c", row="r")) == "new"


def test_a_value_under_a_key_that_is_gone_names_that_key() -> None:
    sealed = Keyring(OLD).seal(SECRET, column="c", row="r")
    with pytest.raises(SecretUnreadable, match=r"'old'.*TERRAPOD_SECRETS__KEYS"):
        Keyring(NEW).open(sealed, column="c", row="r")


def test_another_key_of_the_same_id_opens_nothing() -> None:
    sealed = Keyring(OLD).seal(SECRET, column="c", row="r")
    with pytest.raises(SecretUnreadable):
        Keyring("old:" + base64.b64encode(b"x" * 32).decode()).open(sealed, column="c", row="r")


def test_labels_and_keys_derive_unrelated_bytes_and_the_same_ones_again(keyring: Keyring) -> None:
    derived = [keyring.derive(label, key_id=key_id) for label in ("token-pepper", "capability") for key_id in ("new", "old")]
    assert len(set(derived)) == 4
    assert {len(value) for value in derived} == {32}
    assert keyring.derive("capability") == Keyring(NEW).derive("capability")


def test_deriving_from_a_key_that_is_gone_is_refused(keyring: Keyring) -> None:
    with pytest.raises(SecretUnreadable):
        keyring.derive("capability", key_id="gone")


def test_no_form_of_a_keyring_shows_its_keys(keyring: Keyring) -> None:
    shown = f"{keyring!r} {keyring}"
    assert "nnnn" not in shown
    assert base64.b64encode(b"n" * 32).decode() not in shown
    with pytest.raises(TypeError):
        pickle.dumps(keyring)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no key"),
        ("justakey", "id:base64key"),
        ("a b:" + OLD[4:], "id:base64key"),
        ("k1:not base64!", "not base64"),
        ("k1:" + base64.b64encode(b"short").decode(), "5 bytes and needs 32"),
        (f"{OLD},{OLD}", "twice"),
    ],
)
def test_malformed_keys_are_refused_with_advice_and_without_showing_them(text: str, said: str) -> None:
    with pytest.raises(KeyringError, match=said) as refused:
        Keyring(text)
    assert OLD[4:] not in str(refused.value)


def test_keys_may_stand_on_lines_of_their_own_and_in_urlsafe_base64() -> None:
    urlsafe = base64.urlsafe_b64encode(b"\xff" * 32).decode().rstrip("=")
    assert Keyring(f"\nk2:{urlsafe}\n{OLD}\n").key_ids == ("k2", "old")


def first_start(data_dir: Path) -> Keyring:
    """The keyring of an embedded start whose database knows no key."""
    provider = SettingsKeys(None, data_dir, embedded=True)
    keyring = Keyring(provider)
    provider.keep()
    keyring.reload()
    return keyring


def test_an_embedded_start_makes_a_private_key_and_keeps_it(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    sealed = first_start(data_dir).seal(SECRET, column="c", row="r")
    assert first_start(data_dir).open(sealed, column="c", row="r") == SECRET
    assert stat.S_IMODE((data_dir / "keys").stat().st_mode) == 0o600
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    assert [path.name for path in data_dir.iterdir()] == ["keys"]


def test_a_key_file_that_others_could_read_is_tightened(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(new_key())
    (tmp_path / "keys").chmod(0o644)
    first_start(tmp_path)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o600


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: first_start(tmp_path / "data").key_ids, range(16)))
    assert len(set(found)) == 1


def test_given_keys_win_over_the_file(tmp_path: Path) -> None:
    first_start(tmp_path)
    assert Keyring.load(OLD, tmp_path, embedded=True).newest == "old"


def test_a_start_that_is_not_embedded_needs_given_keys_and_says_how(tmp_path: Path) -> None:
    with pytest.raises(KeyringError, match="TERRAPOD_SECRETS__KEYS=") as refused:
        Keyring.load(None, tmp_path, embedded=False)
    assert "KEYS_FILE" not in str(refused.value)
    assert not any(tmp_path.iterdir())


def test_an_installation_that_was_embedded_is_told_about_its_key_file(tmp_path: Path) -> None:
    first_start(tmp_path)
    with pytest.raises(KeyringError, match="TERRAPOD_SECRETS__KEYS_FILE="):
        Keyring.load("  ", tmp_path, embedded=False)


def test_a_damaged_key_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("nonsense")
    with pytest.raises(KeyringError, match="key file"):
        first_start(tmp_path)
