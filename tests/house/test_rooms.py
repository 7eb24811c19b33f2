"""Which way the doors open: `.importlinter` for the order of the rooms, and the rules that are about single files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

from tests.support import ROOT
from tests.support.sources import PLUGINS, committed, imports

KNOWS_QUART = {"web", "ui", "app", "testing"}
PLUGIN_DOOR = "terrapod_core.plugin"
TESTING_DOOR = "terrapod_core.testing"


def test_a_room_imports_only_rooms_below_it(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    # It would switch off every logger made so far, and later tests read what those say.
    monkeypatch.setattr("logging.config.dictConfig", lambda config: None)
    code = lint_imports(config_filename=str(ROOT / ".importlinter"), no_cache=True, no_logo=True)
    told = capsys.readouterr().out
    assert code == 0, (
        f"{told}\nA need of a lower room is handed to it by app; news for a higher room travels as an event.\n"
        "A new room gets its line in .importlinter."
    )


def test_only_routes_ui_web_and_app_know_quart() -> None:
    def strangers(path: Path) -> bool:
        return path.parts[0] == "terrapod_core" and not path.stem.endswith("routes") and path.parts[1] not in KNOWS_QUART

    assert_no_import(strangers, lambda module: within(module, "quart"), "a service speaks Terraform, not HTTP")


def test_a_plugin_knows_the_core_by_its_plugin_api_alone() -> None:
    def other_doors(module: str) -> bool:
        return within(module, "terrapod_core") and module != "terrapod_core" and not within(module, PLUGIN_DOOR)

    assert_no_import(lambda path: is_plugin(path) and "tests" not in path.parts, other_doors, f"a plugin imports {PLUGIN_DOOR} alone")


def test_a_plugins_tests_add_only_the_testing_kits() -> None:
    def other_doors(module: str) -> bool:
        doors = (PLUGIN_DOOR, TESTING_DOOR)
        return within(module, "terrapod_core") and module != "terrapod_core" and not any(within(module, door) for door in doors)

    assert_no_import(lambda path: is_plugin(path) and "tests" in path.parts, other_doors, f"use {PLUGIN_DOOR} and {TESTING_DOOR}")


def test_no_product_code_imports_the_testing_kits() -> None:
    def product(path: Path) -> bool:
        return path.parts[0] in ("terrapod_core", "plugins") and "tests" not in path.parts and "testing" not in path.parts

    assert_no_import(product, lambda module: within(module, TESTING_DOOR), "testing may import everything, nothing imports it")


def test_the_runner_knows_the_errors_alone() -> None:
    def other_rooms(module: str) -> bool:
        core, _, room = module.partition(".")
        return core == "terrapod_core" and room.partition(".")[0] in rooms - {"errors", "runner"}

    rooms = {path.parts[1].removesuffix(".py") for path in committed() if path.parts[0] == "terrapod_core"} - {"__init__"}

    def in_the_runner(path: Path) -> bool:
        return path.parts[:2] == ("terrapod_core", "runner")

    assert_no_import(in_the_runner, other_rooms, "the runner starts in a blink and may run on another machine")


def test_plugins_are_found() -> None:
    assert PLUGINS, "no plugins/*/pyproject.toml: the rules above would hold for nothing"


def is_plugin(path: Path) -> bool:
    return path.parts[0] == "plugins"


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def assert_no_import(files: Callable[[Path], bool], forbidden: Callable[[str], bool], why: str) -> None:
    found = {f"{path}:{line}" for path in python_files() if files(path) for line, module in imports(path) if forbidden(module)}
    assert not found, f"{why}:\n" + "\n".join(sorted(found))


def python_files() -> Iterable[Path]:
    return (path for path in committed() if path.suffix == ".py" and len(path.parts) > 1)
