from __future__ import annotations

from pathlib import Path

import pytest

from terrapod_core.plugin import Key, KeyProvider, KeyringError, Keys
from terrapod_core.secrets import Keyring, SecretUnreadable, new_key
from terrapod_core.secrets.keyfile import change, read
from terrapod_core.secrets.providers import SettingsKeys
from terrapod_core.settings import load
from terrapod_core.testing.keys import Give, KeyProviderKit, key_text


class TestKeyFile(KeyProviderKit):
    @pytest.fixture
    def provider(self, tmp_path: Path) -> SettingsKeys:
        return SettingsKeys(None, tmp_path, embedded=True)

    @pytest.fixture
    def give(self, tmp_path: Path) -> Give:
        def give(text: str) -> None:
            (tmp_path / "keys").write_text(text, "utf-8")

        return give

    def test_it_is_a_key_provider_with_a_name_and_a_place(self, provider: KeyProvider) -> None:
        assert isinstance(provider, KeyProvider)
        assert provider.name == "settings"
        assert provider.live

    def test_a_key_that_is_too_short_names_the_file(self, provider: KeyProvider, give: Give) -> None:
        give("k1:c2hvcnQ=\n")
        with pytest.raises(KeyringError, match="in the key file .* has 5 bytes and needs 32"):
            provider.keys()


def test_a_key_file_that_vanishes_is_not_made_anew(tmp_path: Path) -> None:
    provider = SettingsKeys(None, tmp_path, embedded=True)
    provider.keys()
    provider.keep()
    provider.keys()
    (tmp_path / "keys").unlink()
    with pytest.raises(KeyringError, match="key file .* cannot be read: No such file"):
        provider.keys()
    assert not (tmp_path / "keys").exists()


def test_a_key_is_written_only_when_somebody_says_so_and_stays_the_same_until_then(tmp_path: Path) -> None:
    provider = SettingsKeys(None, tmp_path / "data", embedded=True)
    made = provider.keys()
    assert (provider.pending, provider.keys().ids) == (True, made.ids)
    assert not (tmp_path / "data").exists()
    provider.keep()
    assert (provider.keys().ids, provider.pending) == (made.ids, False)


def settings_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toml: str = "", **environ: str) -> SettingsKeys:
    file = tmp_path / "terrapod.toml"
    file.write_text(toml)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return SettingsKeys.of(load(path=file, environ={"TERRAPOD_DATA_DIR": str(tmp_path / "data"), **environ}))


def test_a_file_that_a_variable_names_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "from-the-vault"
    file.write_text(key_text("k1"))
    provider = settings_keys(tmp_path, monkeypatch, TERRAPOD_SECRETS__KEYS_FILE=str(file))
    assert (provider.live, provider.key_file, provider.keys().ids) == (True, None, ("k1",))
    file.write_text(key_text("k2", "k1"))
    assert provider.keys().ids == ("k2", "k1")
    assert str(file) in provider.where
    file.unlink()
    with pytest.raises(KeyringError, match="from-the-vault.*cannot be read"):
        provider.keys()


def test_text_of_a_variable_or_of_the_settings_file_cannot_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = key_text("k1").strip()
    inline = settings_keys(tmp_path, monkeypatch, toml=f'[secrets]\nkeys = "{text}"\n')
    assert (inline.live, inline.where) == (False, f"secrets.keys in {tmp_path / 'terrapod.toml'}")
    variable = settings_keys(tmp_path, monkeypatch, TERRAPOD_SECRETS__KEYS=text)
    assert (variable.live, variable.where) == (False, "TERRAPOD_SECRETS__KEYS")
    with pytest.raises(SecretUnreadable, match="Add the missing key there, after the newest one; then restart every server"):
        Keyring(variable).open(Keyring(key_text("k2")).seal(b"x", column="c", row="r"), column="c", row="r")


def test_a_change_of_the_key_file_is_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(key_text("k1"))
    (fresh,) = Keys.read(new_key(), "a test")
    change(path, lambda known: (fresh, *known))
    assert Keys.read(read(path), "a test").keys == (fresh, Key("k1", b"k1".ljust(32, b".")))
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["keys"]


def test_a_change_that_fails_leaves_the_key_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(key_text("k1"))
    with pytest.raises(KeyringError):
        change(path, lambda known: ())
    assert read(path) == key_text("k1")
    assert [each.name for each in tmp_path.iterdir()] == ["keys"]
