"""The manager: what is loaded, what is not, and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest

from terrapod_core.plugin import Migrations, PluginContext, PluginContexts, Plugins, PluginSettings, PluginState, hookimpl, setting
from terrapod_core.settings import Settings, SettingsError, load
from terrapod_core.testing import FakeAuthProvider, FakeClock, FakeRunnerBackend, MemoryStorage


@dataclass(frozen=True, kw_only=True)
class RunnerSettings(PluginSettings):
    concurrency: int = setting(1, "How many.")
    isolation: Literal["auto", "none"] = setting("auto", "How far.")
    token: str = setting("", "A secret.", secret=True)

    def __post_init__(self) -> None:
        if self.concurrency == 13:
            raise ValueError("concurrency = 13 brings bad luck; take another")


@dataclass(frozen=True, kw_only=True)
class NeedySettings(PluginSettings):
    bucket: str


def settings_of(environ: Mapping[str, str] | None = None, **plugins: tuple[str, ...]) -> Settings:
    given = {f"plugins.{key}": list(value) for key, value in plugins.items()}
    return load(environ=environ or {}, overrides=given)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def module(*functions: object) -> SimpleNamespace:
    """A plugin's module of these hook implementations, found by their names."""
    return SimpleNamespace(**{getattr(each, "__name__", ""): each for each in functions})


@hookimpl
def register_storage_backends(context: PluginContext) -> list[MemoryStorage]:
    return [MemoryStorage()]


@hookimpl
def register_auth_providers() -> list[FakeAuthProvider]:
    return [FakeAuthProvider()]


@hookimpl
def register_settings() -> type[RunnerSettings]:
    return RunnerSettings


@hookimpl
def register_runner_backends(context: PluginContext[RunnerSettings]) -> list[FakeRunnerBackend]:
    return [FakeRunnerBackend(context.settings.concurrency)]


STORAGE = module(register_storage_backends)
AUTH = module(register_auth_providers)
RUNNER = module(register_settings, register_runner_backends)
ALL = {"storage-memory": STORAGE, "auth-fake": AUTH, "runner-fake": RUNNER}


def reasons(plugins: Plugins) -> dict[str, str | None]:
    return {record.name: record.reason for record in plugins.records}


def states(plugins: Plugins) -> dict[str, str]:
    return {record.name: record.state.value for record in plugins.records}


def test_what_good_plugins_register_is_found_by_name(contexts: PluginContexts) -> None:
    plugins = Plugins.discover(settings_of(), modules=ALL)
    assert set(plugins.storage_backends(contexts)) == {"memory"}
    assert set(plugins.auth_providers(contexts)) == {"fake"}
    assert set(plugins.runner_backends(contexts)) == {"fake"}
    assert states(plugins) == dict.fromkeys(sorted(ALL), "loaded")
    assert {record.name: record.provides for record in plugins.records} == {
        "auth-fake": ("auth provider fake",),
        "runner-fake": ("settings", "runner backend fake"),
        "storage-memory": ("storage backend memory",),
    }


def test_before_anything_was_asked_the_kinds_are_known() -> None:
    plugins = Plugins.discover(settings_of(), modules={"runner-fake": RUNNER})
    assert plugins.records[0].provides == ("settings", "runner backend")


def test_collect_says_whose_answer_it_is(contexts: PluginContexts) -> None:
    plugins = Plugins.discover(settings_of(), modules={"storage-b": STORAGE, "storage-a": STORAGE, "auth-fake": AUTH})
    assert [name for name, _ in plugins.collect("register_storage_backends", contexts)] == ["storage-a"], "one module is one plugin"
    assert "registered" in (reasons(plugins)["storage-b"] or "")


def test_a_plugin_gets_its_own_settings(contexts: PluginContexts) -> None:
    environ = {"TERRAPOD_RUNNER__FAKE__CONCURRENCY": "7"}
    plugins = Plugins.discover(settings_of(environ), modules=ALL)
    assert plugins.runner_backends(contexts)["fake"].capacity == 7  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (
            "CONCURENCY",
            "2",
            "unknown setting TERRAPOD_RUNNER__FAKE__CONCURENCY in the environment; did you mean TERRAPOD_RUNNER__FAKE__CONCURRENCY?",
        ),
        ("CONCURRENCY", "two", "TERRAPOD_RUNNER__FAKE__CONCURRENCY must be a whole number, not two"),
        ("CONCURRENCY", "13", "[runner.fake] concurrency = 13 brings bad luck; take another (from TERRAPOD_RUNNER__FAKE__CONCURRENCY)"),
        ("ISOLATION", "perfect", "TERRAPOD_RUNNER__FAKE__ISOLATION must be one of auto, none, not perfect"),
    ],
)
def test_wrong_settings_fail_only_their_plugin(contexts: PluginContexts, name: str, value: str, expected: str) -> None:
    plugins = Plugins.discover(settings_of({f"TERRAPOD_RUNNER__FAKE__{name}": value}), modules=ALL)
    assert reasons(plugins)["runner-fake"] == expected
    assert plugins.runner_backends(contexts) == {}
    assert set(plugins.storage_backends(contexts)) == {"memory"}


def test_a_misspelt_setting_in_the_file_is_named_with_its_file() -> None:
    Path("terrapod.toml").write_text("[runner.fake]\nconcurency = 2")
    plugins = Plugins.discover(load(environ={}), modules=ALL)
    assert reasons(plugins)["runner-fake"] == (
        "unknown setting runner.fake.concurency in terrapod.toml; did you mean runner.fake.concurrency?"
    )


def test_a_setting_that_must_be_set_is_asked_for() -> None:
    @hookimpl
    def register_settings() -> type[NeedySettings]:
        return NeedySettings

    plugins = Plugins.discover(settings_of(), modules={"storage-s3": module(register_settings)})
    assert reasons(plugins)["storage-s3"] == (
        "the setting storage.s3.bucket is missing; set it in terrapod.toml or as TERRAPOD_STORAGE__S3__BUCKET"
    )


def test_a_plugin_without_settings_takes_none() -> None:
    plugins = Plugins.discover(settings_of({"TERRAPOD_STORAGE__MEMORY__SIZE": "1"}), modules=ALL)
    assert reasons(plugins)["storage-memory"] == "unknown setting TERRAPOD_STORAGE__MEMORY__SIZE in the environment"


def test_a_section_that_no_plugin_reads_is_an_error_that_helps() -> None:
    Path("terrapod.toml").write_text("[runer.fake]\nconcurrency = 2")
    with pytest.raises(SettingsError, match=r"unknown section \[runer.fake\] in terrapod.toml.*did you mean \[runner.fake\]\?"):
        Plugins.discover(load(environ={}), modules=ALL)


def test_the_section_of_a_disabled_plugin_may_stay() -> None:
    settings = settings_of({"TERRAPOD_RUNNER__FAKE__CONCURENCY": "2"}, disabled=("runner-fake",))
    assert states(Plugins.discover(settings, modules=ALL))["runner-fake"] == "disabled"


def test_a_plugin_without_a_kind_has_a_section_all_the_same() -> None:
    Path("terrapod.toml").write_text("[plugin.fake]\nconcurrency = 5")
    plugins = Plugins.discover(load(environ={}), modules={"fake": RUNNER})
    assert states(plugins) == {"fake": "loaded"}


def test_only_what_is_enabled_is_used() -> None:
    plugins = Plugins.discover(settings_of(enabled=("storage-memory",)), modules=ALL)
    assert states(plugins) == {"auth-fake": "disabled", "runner-fake": "disabled", "storage-memory": "loaded"}
    assert reasons(plugins)["auth-fake"] == "plugins.enabled in the command line does not name it"


def test_a_required_plugin_that_is_missing_failing_or_not_enabled_is_told() -> None:
    assert Plugins.discover(settings_of(required=("storage-memory",)), modules=ALL).failed_required == ()
    missing = Plugins.discover(settings_of(required=("storage-memry",)), modules=ALL)
    assert [(record.name, record.reason) for record in missing.failed_required] == [
        ("storage-memry", "it is not installed; did you mean storage-memory?")
    ]
    off = Plugins.discover(settings_of(required=("auth-fake",), enabled=("storage-memory",)), modules=ALL)
    assert [record.state for record in off.failed_required] == [PluginState.DISABLED]
    broken = Plugins.discover(settings_of({"TERRAPOD_RUNNER__FAKE__CONCURRENCY": "x"}, required=("runner-fake",)), modules=ALL)
    assert [record.name for record in broken.failed_required] == ["runner-fake"]


def test_a_misspelt_hook_is_taken_back_with_all_of_its_plugin(contexts: PluginContexts) -> None:
    @hookimpl
    def register_storage_backend(context: PluginContext) -> None:
        raise AssertionError("nobody calls it")

    plugins = Plugins.discover(settings_of(), modules={**ALL, "storage-typo": module(register_storage_backend, register_auth_providers)})
    assert reasons(plugins)["storage-typo"] == "there is no hook register_storage_backend; did you mean register_storage_backends?"
    assert [name for name, _ in plugins.collect("register_auth_providers", contexts)] == ["auth-fake"]
    plugins._manager.check_pending()


def test_a_hook_with_an_argument_nobody_gives_is_refused() -> None:
    @hookimpl
    def register_storage_backends(database: object) -> None: ...

    plugins = Plugins.discover(settings_of(), modules={"storage-x": module(register_storage_backends)})
    assert "database" in (reasons(plugins)["storage-x"] or "")


def test_a_hook_may_not_be_async() -> None:
    @hookimpl
    async def register_storage_backends(context: PluginContext) -> None: ...

    plugins = Plugins.discover(settings_of(), modules={"storage-x": module(register_storage_backends)})
    assert reasons(plugins)["storage-x"] == "register_storage_backends must be a plain function, not async"


def test_a_module_without_hooks_is_told_of_the_marker() -> None:
    def register_storage_backends(context: PluginContext) -> None: ...

    plugins = Plugins.discover(settings_of(), modules={"storage-x": module(register_storage_backends)})
    assert "@hookimpl" in (reasons(plugins)["storage-x"] or "")


def test_a_hook_that_raises_fails_its_plugin_from_then_on(contexts: PluginContexts) -> None:
    @hookimpl
    def register_storage_backends(context: PluginContext) -> None:
        raise RuntimeError("the disk has left")

    raising = module(register_storage_backends, register_auth_providers)
    plugins = Plugins.discover(settings_of(), modules={**ALL, "storage-a": raising})
    assert set(plugins.storage_backends(contexts)) == {"memory"}
    assert reasons(plugins)["storage-a"] == "register_storage_backends raised RuntimeError: the disk has left"
    assert [name for name, _ in plugins.collect("register_auth_providers", contexts)] == ["auth-fake"]


def test_what_is_no_backend_fails_its_plugin(contexts: PluginContexts) -> None:
    @hookimpl
    def register_storage_backends() -> list[object]:
        return [FakeClock()]

    plugins = Plugins.discover(settings_of(), modules={**ALL, "storage-a": module(register_storage_backends)})
    assert set(plugins.storage_backends(contexts)) == {"memory"}
    assert "no StorageBackend: it lacks delete, info, list, name, read, write" in (reasons(plugins)["storage-a"] or "")


def test_a_single_backend_without_a_list_is_refused(contexts: PluginContexts) -> None:
    @hookimpl
    def register_storage_backends() -> MemoryStorage:
        return MemoryStorage()

    plugins = Plugins.discover(settings_of(), modules={"storage-a": module(register_storage_backends)})
    assert plugins.storage_backends(contexts) == {}
    assert "no list" in (reasons(plugins)["storage-a"] or "")


def test_a_backend_name_is_given_once(contexts: PluginContexts) -> None:
    @hookimpl
    def register_storage_backends() -> list[MemoryStorage]:
        return [MemoryStorage()]

    plugins = Plugins.discover(settings_of(), modules={**ALL, "storage-zweit": module(register_storage_backends)})
    assert set(plugins.storage_backends(contexts)) == {"memory"}
    assert reasons(plugins)["storage-zweit"] == (
        "register_storage_backends returned something called memory, a name that the plugin storage-memory gave already"
    )


def test_migrations_are_collected_and_their_tables_kept_apart() -> None:
    def owner(package: str, table: str) -> SimpleNamespace:
        @hookimpl
        def register_migrations() -> Migrations:
            return Migrations(package, table)

        return module(register_migrations)

    owners = {"sync": owner("sync.migrations", "sync_migrations"), "thief": owner("thief.migrations", "sync_migrations")}
    plugins = Plugins.discover(settings_of(), modules=owners)
    assert plugins.migrations() == {"sync": Migrations("sync.migrations", "sync_migrations")}
    assert reasons(plugins)["thief"] == "its version table sync_migrations is the plugin sync's"


def test_a_choice_nobody_provides_says_what_there_is(contexts: PluginContexts) -> None:
    plugins = Plugins.discover(settings_of({"TERRAPOD_RUNNER__FAKE__ISOLATION": "x"}, disabled=("auth-fake",)), modules=ALL)
    backends = plugins.storage_backends(contexts)
    assert plugins.choose(backends, "storage", "memory", "storage.backend") is backends["memory"]
    with pytest.raises(SettingsError) as refused:
        plugins.choose(plugins.runner_backends(contexts), "runner", "fake", "runner.backend")
    assert str(refused.value).startswith(
        "runner.backend is fake, which no loaded plugin provides; there is none; the plugin runner-fake failed:"
    )
    assert "the plugin auth-fake is disabled" in str(refused.value)
    assert "installed?" not in str(refused.value)
    with pytest.raises(SettingsError, match=r"is the package terrapod-storage-s3 installed\?"):
        plugins.choose(backends, "storage", "s3", "storage.backend")


def test_the_address_of_redis_is_given_to_plugins_for_coordination_alone(contexts: PluginContexts) -> None:
    told = dataclasses.replace(contexts, redis_url="redis://:secret@cache/0")
    assert told("coordination-redis", PluginSettings()).redis_url == "redis://:secret@cache/0"
    assert told("storage-s3", PluginSettings()).redis_url is None


def test_the_settings_of_plugins_are_described_like_the_cores() -> None:
    rows = Plugins.discover(settings_of(), modules=ALL).reference()
    assert [(row.key, row.env) for row in rows] == [
        ("runner.fake.concurrency", "TERRAPOD_RUNNER__FAKE__CONCURRENCY"),
        ("runner.fake.isolation", "TERRAPOD_RUNNER__FAKE__ISOLATION"),
        ("runner.fake.token", "TERRAPOD_RUNNER__FAKE__TOKEN"),
    ]


def test_calls_can_be_traced(contexts: PluginContexts, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    Plugins.discover(settings_of({"TERRAPOD_TRACE_PLUGINS": "1"}), modules=ALL).storage_backends(contexts)
    assert "storage-memory is asked for register_storage_backends" in caplog.text


def test_the_fixture_of_plugin_authors_makes_a_whole_context(plugin_context: PluginContext, clock: FakeClock, tmp_path: Path) -> None:
    assert plugin_context.clock is clock
    assert plugin_context.data_dir == tmp_path
    assert {field.name for field in dataclasses.fields(plugin_context)} == {
        "settings",
        "log",
        "clock",
        "core_version",
        "data_dir",
        "passwords",
        "http",
        "once",
        "redis_url",
        "metrics",
    }
