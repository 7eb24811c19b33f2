"""Settings from file, environment and command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from terrapod_core.settings import Settings, SettingsError, load

NOWHERE: Mapping[str, str] = {}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(text: str, name: str = "terrapod.toml") -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def refused(*, environ: Mapping[str, str] = NOWHERE, path: Path | None = None, **overrides: object) -> str:
    with pytest.raises(SettingsError) as error:
        load(path=path, environ=environ, overrides=overrides)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_without_any_setting_everything_is_on_this_machine(tmp_path: Path) -> None:
    settings = load(environ=NOWHERE)
    assert settings.data_dir == tmp_path / "terrapod-data"
    assert settings.database.url == f"sqlite+aiosqlite:///{tmp_path}/terrapod-data/terrapod.db"
    assert settings.embedded
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8080)
    assert (settings.storage.backend, settings.runner.backend) == ("local", "local")
    assert (settings.tfe_version, settings.external_url, settings.redis.url) == ("v0.1.0", None, None)
    assert set(settings.origins.values()) == {"default"}


@pytest.mark.parametrize(
    ("version", "allows"),
    [
        ("v0.1.0", False),
        ("1.0.0", False),
        ("v202301-2", False),
        ("v202302-1", True),
        ("v202501-1", True),
        ("202501-1", False),
        ("v202501", False),
        ("v2025010-1", False),
    ],
)
def test_only_the_version_of_a_release_that_terraform_can_read_turns_structured_output_on(version: str, allows: bool) -> None:
    assert load(environ={**NOWHERE, "TERRAPOD_TFE_VERSION": version}).structured_output is allows


def test_the_file_in_the_working_directory_is_read() -> None:
    write('external_url = "https://tf.example.com/"\n[server]\nport = 9000\n[plugins]\nrequired = ["runner-local"]')
    settings = load(environ=NOWHERE)
    assert settings.external_url == "https://tf.example.com"
    assert settings.server.port == 9000
    assert settings.plugins.required == ("runner-local",)
    assert settings.origins["server.port"] == "terrapod.toml"


def test_a_file_is_chosen_by_argument_before_the_variable_before_the_working_directory() -> None:
    write("[server]\nport = 1")
    write("[server]\nport = 2", "variable.toml")
    asked = write("[server]\nport = 3", "argument.toml")
    environ = {"TERRAPOD_CONFIG": "variable.toml"}
    assert load(environ=NOWHERE).server.port == 1
    assert load(environ=environ).server.port == 2
    assert load(environ=environ, path=asked).server.port == 3


def test_a_file_that_was_asked_for_must_be_there() -> None:
    assert refused(environ={"TERRAPOD_CONFIG": "none.toml"}) == "there is no settings file none.toml, which TERRAPOD_CONFIG names"
    assert refused(path=Path("none.toml")) == "there is no settings file none.toml"


def test_a_file_that_is_no_toml_says_where() -> None:
    write("[server\nport = 1")
    assert "terrapod.toml is not TOML" in refused()


def test_the_environment_wins_over_the_file_and_the_command_line_over_both() -> None:
    write("[server]\nport = 1\nworkers = 1\ndrain_seconds = 1")
    environ = {"TERRAPOD_SERVER__PORT": "2", "TERRAPOD_SERVER__WORKERS": "2"}
    settings = load(environ=environ, overrides={"server.port": 3, "server.host": None})
    assert (settings.server.port, settings.server.workers, settings.server.drain_seconds) == (3, 2, 1)
    assert settings.server.host == "127.0.0.1"
    assert settings.origins["server.port"] == "the command line"
    assert settings.origins["server.workers"] == "TERRAPOD_SERVER__WORKERS"
    assert settings.origins["server.drain_seconds"] == "terrapod.toml"


@pytest.mark.parametrize(
    ("variable", "value", "key", "expected"),
    [
        ("TERRAPOD_DATABASE_URL", "postgresql+asyncpg://db/terrapod", "database.url", "postgresql+asyncpg://db/terrapod"),
        ("TERRAPOD_REDIS_URL", "redis://cache", "redis.url", "redis://cache"),
        ("TERRAPOD_LOG_FORMAT", "json", "log.format", "json"),
        ("TERRAPOD_LOG_LEVEL", "WARNING", "log.level", "warning"),
        ("TERRAPOD_TFE_VERSION", "v202506-1", "tfe_version", "v202506-1"),
        ("TERRAPOD_DATA_DIR", "/srv/terrapod", "data_dir", Path("/srv/terrapod")),
        ("TERRAPOD_DATABASE__AUTO_UPGRADE", "false", "database.auto_upgrade", False),
        ("TERRAPOD_PLUGINS__DISABLED", "sync, vcs-github", "plugins.disabled", ("sync", "vcs-github")),
        ("TERRAPOD_RUNNER__ENGINES_DIR", "engines", "runner.engines_dir", Path("engines")),
        ("TERRAPOD_TRACE_PLUGINS", "1", "plugins.trace", True),
    ],
)
def test_a_variable_sets_its_setting(variable: str, value: str, key: str, expected: object) -> None:
    found: object = load(environ={variable: value})
    for part in key.split("."):
        found = getattr(found, part)
    assert found == (expected.absolute() if isinstance(expected, Path) else expected)


def test_an_alias_and_its_long_form_cannot_both_be_set() -> None:
    text = refused(environ={"TERRAPOD_DATABASE_URL": "sqlite+aiosqlite:///a", "TERRAPOD_DATABASE__URL": "sqlite+aiosqlite:///b"})
    assert "TERRAPOD_DATABASE_URL" in text
    assert "TERRAPOD_DATABASE__URL" in text


def test_an_empty_variable_says_nothing() -> None:
    assert load(environ={"TERRAPOD_EXTERNAL_URL": "", "TERRAPOD_SERVER__PORT": ""}).server.port == 8080


def test_a_secret_is_read_from_a_file_without_its_last_newline() -> None:
    write("correct horse\n", "password")
    write("postgresql+asyncpg://db/t", "url")
    settings = load(environ={"TERRAPOD_BOOTSTRAP__ADMIN_PASSWORD_FILE": "password", "TERRAPOD_DATABASE_URL_FILE": "url"})
    assert settings.bootstrap.admin_password == "correct horse"
    assert settings.database.url == "postgresql+asyncpg://db/t"
    assert settings.origins["bootstrap.admin_password"] == "TERRAPOD_BOOTSTRAP__ADMIN_PASSWORD_FILE"


def test_a_secret_file_that_is_not_there_is_named() -> None:
    text = refused(environ={"TERRAPOD_SECRETS__KEYS_FILE": "none"})
    assert text.startswith("TERRAPOD_SECRETS__KEYS_FILE names none, which cannot be read")


def test_what_kubernetes_says_about_services_is_no_setting() -> None:
    environ = {
        "TERRAPOD_SERVICE_HOST": "10.0.0.1",
        "TERRAPOD_SERVICE_PORT": "80",
        "TERRAPOD_SERVICE_PORT_HTTP": "80",
        "TERRAPOD_PORT": "tcp://10.0.0.1:80",
        "TERRAPOD_PORT_80_TCP": "tcp://10.0.0.1:80",
        "TERRAPOD_PORT_80_TCP_ADDR": "10.0.0.1",
        "TERRAPOD_POSTGRES_SERVICE_HOST": "10.0.0.2",
    }
    assert load(environ=environ).server.port == 8080


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"TERRAPOD_SERVER__PROT": "1"}, "unknown setting TERRAPOD_SERVER__PROT in the environment; did you mean TERRAPOD_SERVER__PORT?"),
        ({"TERRAPOD_PORT": "80"}, "unknown setting TERRAPOD_PORT in the environment; did you mean TERRAPOD_SERVER__PORT?"),
        ({"TERRAPOD_XYZ": "1"}, "unknown setting TERRAPOD_XYZ in the environment"),
        (
            {"TERRAPOD_DATABASE__POOL__SIZE": "1"},
            "unknown setting TERRAPOD_DATABASE__POOL__SIZE in the environment; did you mean TERRAPOD_DATABASE__POOL_SIZE?",
        ),
    ],
)
def test_an_unknown_variable_is_an_error_that_helps(environ: Mapping[str, str], expected: str) -> None:
    assert refused(environ=environ) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[server]\nprot = 1", "unknown setting server.prot in terrapod.toml; did you mean server.port?"),
        ("[sever]\nport = 1", "unknown setting sever.port in terrapod.toml; did you mean server.port?"),
        ("external-url = 'https://x'", "unknown setting external-url in terrapod.toml; did you mean external_url?"),
        ("[database.pool]\nsize = 1", "unknown setting database.pool.size in terrapod.toml; did you mean database.pool_size?"),
        ("[server]\nport = '80'", "server.port in terrapod.toml must be a whole number, at least 0 and at most 65535, not 80"),
        ("[server]\nport = 65536", "server.port in terrapod.toml must be a whole number, at least 0 and at most 65535, not 65536"),
        ("[log]\nformat = 'xml'", "log.format in terrapod.toml must be one of console, json, not xml"),
        ("[tokens]\nmax_days = 0", "tokens.max_days in terrapod.toml must be a whole number, at least 1, not 0"),
        ("server = 1", "server in terrapod.toml is a section, not a setting; write [server]"),
    ],
)
def test_a_wrong_line_in_the_file_is_an_error_that_helps(text: str, expected: str) -> None:
    write(text)
    assert refused() == expected


def test_a_wrong_variable_says_what_it_must_be() -> None:
    assert refused(environ={"TERRAPOD_DATABASE__AUTO_UPGRADE": "perhaps"}) == (
        "TERRAPOD_DATABASE__AUTO_UPGRADE must be true or false, not perhaps"
    )


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"TERRAPOD_DATABASE_URL": "postgres://u:hunter2@db/t"}, "must begin with sqlite+aiosqlite:// or postgresql+asyncpg://"),
        ({"TERRAPOD_EXTERNAL_URL": "tf.example.com"}, "external_url must be an absolute http:// or https:// URL"),
        ({"TERRAPOD_EXTERNAL_URL": "https://u:hunter2@tf.example.com"}, "without user"),
        ({"TERRAPOD_RUNNER__URL": "localhost"}, "[runner] url must be an absolute"),
        ({"TERRAPOD_SERVER__TLS_CERT": "cert.pem"}, "[server] tls_cert and tls_key belong together"),
        ({"TERRAPOD_BOOTSTRAP__ADMIN_TOKEN": "hunter2"}, "admin_token must be at least 32"),
        ({"TERRAPOD_BOOTSTRAP__ADMIN_EMAIL": "root"}, "admin_email must be an e-mail address"),
        ({"TERRAPOD_TOKENS__MAX_DAYS": "30"}, "default_days (365) must not be more than max_days (30)"),
        ({"TERRAPOD_REDIS_URL": "cache:6379"}, "[redis] url must begin with redis://"),
        ({"TERRAPOD_PLUGINS__DISABLED": "sync", "TERRAPOD_PLUGINS__REQUIRED": "sync"}, "sync cannot be disabled and required"),
        ({"TERRAPOD_TFE_VERSION": "v1\r\nX-Evil: 1"}, "tfe_version must be"),
    ],
)
def test_values_that_make_no_sense_are_refused_without_repeating_a_secret(environ: Mapping[str, str], expected: str) -> None:
    text = refused(environ=environ)
    assert expected in text
    assert min(environ) in text
    assert "hunter2" not in text


def test_a_section_of_a_plugin_is_kept_as_it_was_found() -> None:
    write("[runner.local]\nconcurrency = 2\n[auth.my-sso]\nurl = 'x'\nmap = {a = 1}")
    environ = {"TERRAPOD_RUNNER__LOCAL__ISOLATION": "none", "TERRAPOD_AUTH__MY_SSO__SECRET": "s"}
    settings = load(environ=environ)
    local = settings.plugin_section("runner", "local")
    assert {name: (raw.value, raw.origin) for name, raw in local.items()} == {
        "concurrency": (2, "terrapod.toml"),
        "isolation": ("none", "TERRAPOD_RUNNER__LOCAL__ISOLATION"),
    }
    assert {name: raw.value for name, raw in settings.plugin_section("auth", "my-sso").items()} == {
        "url": "x",
        "map": {"a": 1},
        "secret": "s",
    }
    assert settings.plugin_section("runner", "kubernetes") == {}


def test_settings_made_by_hand_are_complete_too() -> None:
    settings = Settings(data_dir=Path("here"))
    assert settings.data_dir.is_absolute()
    assert settings.database.url.endswith("/here/terrapod.db")
