from __future__ import annotations

from pathlib import Path

import pytest

from terrapod_core.settings import Settings, SettingsError, load

FILE = """
[auth]
timeout_seconds = 2.5
allow_new_users = "assigned"

[auth.role_mapping.okta]
"platform-team" = ["developer", "admin"]
"a.b" = []

[auth.role_mapping."git.example"]
z = ["reader"]

[auth.password]
passes = 4
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "terrapod.toml"
    path.write_text(FILE)
    return path


def read(path: Path, **environ: str) -> Settings:
    return load(path=path, environ={f"TERRAPOD_AUTH__{name}": value for name, value in environ.items()})


def test_groups_are_mapped_in_tables_beside_the_sections_of_plugins(path: Path) -> None:
    settings = read(path)
    assert settings.auth.role_mapping == {"okta": {"platform-team": ("developer", "admin"), "a.b": ()}, "git.example": {"z": ("reader",)}}
    assert (settings.auth.timeout_seconds, settings.auth.allow_new_users, settings.auth.max_role_age_hours) == (2.5, "assigned", 24)
    assert settings.plugin_section("auth", "password")["passes"].value == 4
    assert list(settings.plugin_sections) == [("auth", "password")]
    assert settings.origins["auth.role_mapping"] == str(path)


def test_a_variable_holds_the_whole_table_as_json(path: Path) -> None:
    settings = read(path, ROLE_MAPPING='{"okta": {"team": ["x"]}}')
    assert settings.auth.role_mapping == {"okta": {"team": ("x",)}}
    assert settings.origins["auth.role_mapping"] == "TERRAPOD_AUTH__ROLE_MAPPING"


@pytest.mark.parametrize("value", ["team", '{"okta": ["x"]}', '{"okta": {"team": "x"}}', "[]", '{"okta": {"team": [1]}}'])
def test_what_is_no_table_of_tables_is_named(path: Path, value: str) -> None:
    with pytest.raises(SettingsError, match="TERRAPOD_AUTH__ROLE_MAPPING must be a table of tables"):
        read(path, ROLE_MAPPING=value)


@pytest.mark.parametrize("value", ['{"": {"team": ["x"]}}', '{"okta": {"": ["x"]}}', '{"okta": {"team": [""]}}'])
def test_an_empty_name_in_it_is_refused(path: Path, value: str) -> None:
    with pytest.raises(SettingsError, match="empty name"):
        read(path, ROLE_MAPPING=value)


@pytest.mark.parametrize(
    ("name", "value"), [("TIMEOUT_SECONDS", "0"), ("MAX_ROLE_AGE_HOURS", "0"), ("UNSEEN_TOKEN_DAYS", "-1"), ("ALLOW_NEW_USERS", "nobody")]
)
def test_numbers_and_words_have_their_bounds(path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read(path, **{name: value})


def test_it_is_shown_like_any_other_setting(path: Path) -> None:
    shown = {key: value for key, value, _ in read(path).show()}
    assert shown["auth.role_mapping"] == '{"okta":{"platform-team":["developer","admin"],"a.b":[]},"git.example":{"z":["reader"]}}'
    assert {key: value for key, value, _ in load(environ={}).show()}["auth.role_mapping"] == ""
