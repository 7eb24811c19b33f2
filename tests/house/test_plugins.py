"""A plugin that does not work never stops the server: real distributions, found by entry point like anybody's."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from terrapod_core.plugin import PluginContexts, Plugins, hookspecs
from terrapod_core.plugin.hookspecs import HOOKS
from terrapod_core.settings import Settings, load
from terrapod_core.testing import FakeClock, MemoryOnce, MemoryPasswords
from tests.support import ROOT

GOOD = """
from terrapod_core.plugin import hookimpl
from terrapod_core.testing import MemoryStorage

@hookimpl
def register_storage_backends(context):
    backend = MemoryStorage(context.clock)
    backend.name = "house"
    return [backend]
"""
MIGRATING = """
from terrapod_core.plugin import Migrations, hookimpl

@hookimpl
def register_migrations():
    return Migrations("house_migrating.migrations", "house_migrations")
"""
BROKEN = "import a_module_that_nobody_installed\n"
ENDING = "raise SystemExit('a plugin that wants to end it all')\n"
MISSPELT = GOOD.replace("register_storage_backends", "register_storage_backend")
RAISING = GOOD.replace("    backend = ", "    raise RuntimeError('no disk today')\n    backend = ")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory of installed distributions."""
    monkeypatch.chdir(tmp_path)
    directory = tmp_path / "site"
    directory.mkdir()
    monkeypatch.syspath_prepend(directory)
    return directory


def install(site: Path, distribution: str, name: str, source: str) -> None:
    """What an installer leaves of a distribution with one module and one entry point."""
    module = distribution.replace("-", "_")
    (site / f"{module}.py").write_text(source)
    info = site / f"{module}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[terrapod]\n{name} = {module}\n")


def install_all(site: Path) -> None:
    for distribution, name, source in (
        ("house-good", "storage-house", GOOD),
        ("house-migrating", "house-migrating", MIGRATING),
        ("house-broken", "house-broken", BROKEN),
        ("house-ending", "house-ending", ENDING),
        ("house-misspelt", "house-misspelt", MISSPELT),
        ("house-raising", "house-raising", RAISING),
        ("house-off", "house-off", BROKEN),
        ("house-twin-one", "house-twin", GOOD),
        ("house-twin-two", "house-twin", GOOD),
        ("house-section", "house-section", GOOD),
    ):
        install(site, distribution, name, source)


def settings() -> Settings:
    environ = {
        "TERRAPOD_PLUGINS__DISABLED": "house-off",
        "TERRAPOD_HOUSE__SECTION__SIZE": "1",
        "TERRAPOD_PLUGINS__REQUIRED": "house-broken",
    }
    return load(environ=environ)


def test_nine_bad_plugins_leave_the_good_one_working(site: Path, tmp_path: Path) -> None:
    install_all(site)
    plugins = Plugins.discover(settings())
    backends = plugins.storage_backends(
        PluginContexts(clock=FakeClock(), data_dir=tmp_path, passwords=MemoryPasswords(), once=MemoryOnce())
    )

    assert backends["house"].name == "house"
    ours = {record.distribution: record for record in plugins.records if (record.distribution or "").startswith("house-")}
    assert {name: record.state.value for name, record in ours.items()} == {
        "house-broken": "failed",
        "house-ending": "failed",
        "house-good": "loaded",
        "house-migrating": "loaded",
        "house-misspelt": "failed",
        "house-off": "disabled",
        "house-raising": "failed",
        "house-section": "failed",
        "house-twin-one": "failed",
        "house-twin-two": "failed",
    }
    reasons = {name: record.reason or "" for name, record in ours.items()}
    assert "No module named 'a_module_that_nobody_installed'" in reasons["house-broken"]
    assert "a plugin that wants to end it all" in reasons["house-ending"]
    assert "did you mean register_storage_backends?" in reasons["house-misspelt"]
    assert "RuntimeError: no disk today" in reasons["house-raising"]
    assert "unknown setting TERRAPOD_HOUSE__SECTION__SIZE" in reasons["house-section"]
    for twin in ("house-twin-one", "house-twin-two"):
        assert "house-twin-one 1.2 and house-twin-two 1.2" in reasons[twin]
    assert {record.version for record in ours.values()} == {"1.2"}
    assert [record.name for record in plugins.failed_required] == ["house-broken"]


def test_migrations_of_a_plugin_are_found(site: Path) -> None:
    install_all(site)
    found = Plugins.discover(settings()).migrations()
    assert found["house-migrating"].version_table == "house_migrations"


def test_every_hook_says_what_it_returns() -> None:
    specified = {name: each for name, each in vars(hookspecs).items() if hasattr(each, "terrapod_spec")}
    assert set(specified) == set(HOOKS)
    for name, hook in specified.items():
        assert len(inspect.getdoc(hook) or "") > 40, name
        assert inspect.signature(hook).return_annotation not in (inspect.Signature.empty, "None"), name


def test_every_hook_has_a_user() -> None:
    """A plugin in plugins/ or contrib/; migrations wait for the first that owns tables, and are used by the one above."""
    sources = [path.read_text() for folder in ("plugins", "contrib") for path in (ROOT / folder).rglob("src/**/*.py")]
    unused = {hook for hook in HOOKS if not any(f"def {hook}(" in source for source in [*sources, MIGRATING])}
    assert not unused
