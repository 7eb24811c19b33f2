"""What people see of settings: never a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrapod_core.settings import MASK, load, masked, reference

SECRETS = {
    "TERRAPOD_DATABASE_URL": "postgresql+asyncpg://terrapod:hunter2@db:5432/terrapod",
    "TERRAPOD_REDIS_URL": "redis://:hunter2@cache",
    "TERRAPOD_SECRETS__KEYS": "k1:hunter2",
    "TERRAPOD_BOOTSTRAP__ADMIN_PASSWORD": "hunter2",
    "TERRAPOD_BOOTSTRAP__ADMIN_TOKEN": "hunter2" * 6,
    "TERRAPOD_VCS__GITHUB__WEBHOOK_SECRET": "hunter2",
    "TERRAPOD_VCS__GITHUB__API_URL": "https://me:hunter2@github.example",
    "TERRAPOD_VCS__GITHUB__APP": "12",
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_no_secret_is_shown() -> None:
    shown = {key: (value, origin) for key, value, origin in load(environ=SECRETS).show()}
    assert "hunter2" not in str(shown)
    assert shown["database.url"] == (f"postgresql+asyncpg://terrapod:{MASK}@db:5432/terrapod", "TERRAPOD_DATABASE_URL")
    assert shown["secrets.keys"] == (MASK, "TERRAPOD_SECRETS__KEYS")
    assert shown["vcs.github.webhook_secret"] == (MASK, "TERRAPOD_VCS__GITHUB__WEBHOOK_SECRET")
    assert shown["vcs.github.app"] == ("12", "TERRAPOD_VCS__GITHUB__APP")
    assert shown["server.port"] == ("8080", "default")
    assert shown["bootstrap.admin_email"] == ("", "default")


def test_no_secret_is_in_a_repr() -> None:
    settings = load(environ=SECRETS)
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in repr(settings.plugin_sections)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("redis://:p@ss@cache", f"redis://:{MASK}@cache"),
        ("postgresql+asyncpg://u:a/b:c@d@db/t?password=x&ssl=1", f"postgresql+asyncpg://u:{MASK}@db/t?password={MASK}&ssl=1"),
        ("https://plain.example:8443/a:b", "https://plain.example:8443/a:b"),
        (("a", "https://u:p@h"), f"a, https://u:{MASK}@h"),
        (True, "true"),
        (0, "0"),
    ],
)
def test_of_a_url_only_the_password_is_hidden(value: object, expected: str) -> None:
    assert masked(value, secret=False) == expected


def test_every_setting_is_described() -> None:
    rows = reference()
    assert len({row.key for row in rows}) == len({row.env for row in rows}) == len(rows)
    assert not [row for row in rows if not row.doc.endswith(".") or not row.type or not row.env.startswith("TERRAPOD_")]
    by_key = {row.key: row for row in rows}
    assert by_key["server.port"][1:4] == ("a whole number, at least 0 and at most 65535", "8080", "TERRAPOD_SERVER__PORT")
    assert by_key["database.url"].env == "TERRAPOD_DATABASE_URL"
    assert by_key["database.url"].default == "sqlite+aiosqlite:///<data_dir>/terrapod.db"


def test_every_setting_is_shown_and_has_an_origin() -> None:
    settings = load(environ={})
    assert [key for key, _, _ in settings.show()] == [row.key for row in reference()] == list(settings.origins)
