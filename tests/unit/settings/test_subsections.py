"""Sections below a plugin's own, under names that the operator gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from terrapod_core.plugin import PluginSettings, setting, subsections
from terrapod_core.plugin.settings import settings_of
from terrapod_core.settings import MASK, SettingsError, load, reference_of

NOWHERE: Mapping[str, str] = {}


@dataclass(frozen=True, kw_only=True)
class Tree:
    """One tree."""

    height: int = setting(1, "How high.")
    names: tuple[str, ...] = setting((), "What it is called.")
    password: str | None = setting(None, "What opens it.", secret=True)

    def __post_init__(self) -> None:
        if self.height > 100:
            raise ValueError("height must be at most 100")


@dataclass(frozen=True, kw_only=True)
class WoodSettings(PluginSettings):
    """`[house.wood]`."""

    colour: str = setting("green", "Of all trees.")
    trees: Mapping[str, Tree] = subsections("Trees by name.")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(text: str = "", environ: Mapping[str, str] = NOWHERE) -> WoodSettings:
    Path("terrapod.toml").write_text(text)
    found = settings_of("house-wood", WoodSettings, load(environ=environ))
    assert isinstance(found, WoodSettings)
    return found


def refused(text: str = "", environ: Mapping[str, str] = NOWHERE) -> str:
    with pytest.raises(SettingsError) as error:
        read(text, environ)
    assert "hunter2" not in str(error.value)
    return str(error.value)


def test_without_any_section_there_is_none() -> None:
    assert read().trees == {}


def test_a_section_of_the_file_and_variables_make_one_and_the_variables_win() -> None:
    environ = {
        "TERRAPOD_HOUSE__WOOD__COLOUR": "red",
        "TERRAPOD_HOUSE__WOOD__TREES__OLD_OAK__HEIGHT": "3",
        "TERRAPOD_HOUSE__WOOD__TREES__BIRCH__NAMES": "a, b",
    }
    found = read('[house.wood.trees.old-oak]\nheight = 2\npassword = "hunter2"\n[house.wood.trees.elm]', environ)
    assert found.colour == "red"
    assert found.trees == {"old-oak": Tree(height=3, password="hunter2"), "elm": Tree(), "birch": Tree(names=("a", "b"))}


def test_a_secret_of_a_section_is_read_from_the_file_that_a_variable_names() -> None:
    Path("secret").write_text("hunter2\n")
    found = read(environ={"TERRAPOD_HOUSE__WOOD__TREES__ELM__PASSWORD_FILE": "secret"})
    assert found.trees["elm"].password == "hunter2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[house.wood.trees.elm]\nheigth = 1",
            "unknown setting house.wood.trees.elm.heigth in terrapod.toml; did you mean house.wood.trees.elm.height?",
        ),
        ("[house.wood.trees.elm]\nheight = 'x'", "house.wood.trees.elm.height in terrapod.toml must be a whole number, not x"),
        ("[house.wood.trees.elm]\npassword = ['hunter2']", "house.wood.trees.elm.password in terrapod.toml must be text"),
        ("[house.wood.trees.elm]\nheight = 101", "[house.wood.trees.elm] height must be at most 100 (from terrapod.toml)"),
        (
            "[house.wood.tree.elm]\nheight = 1",
            "unknown setting house.wood.tree in terrapod.toml; did you mean house.wood.trees?",
        ),
        (
            "[house.wood.trees]\nheight = 1",
            (
                "house.wood.trees in terrapod.toml must be sections, one for each name: [house.wood.trees.NAME] in the file, "
                "or TERRAPOD_HOUSE__WOOD__TREES__NAME__… as variables"
            ),
        ),
        (
            "[house.wood.trees.Elm]\nheight = 1",
            "[house.wood.trees.Elm] in terrapod.toml: the name has lower-case letters and digits, with single dashes between them",
        ),
    ],
)
def test_a_wrong_line_in_a_section_is_an_error_that_helps(text: str, expected: str) -> None:
    assert refused(text) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("TREES__ELM__HEIGTH", "did you mean TERRAPOD_HOUSE__WOOD__TREES__ELM__HEIGHT?"),
        ("TREES__ELM__HEIGHT", "TERRAPOD_HOUSE__WOOD__TREES__ELM__HEIGHT must be a whole number, not x"),
        ("TREES", "TERRAPOD_HOUSE__WOOD__TREES must be sections"),
        ("TREES__ELM", "TERRAPOD_HOUSE__WOOD__TREES__ELM must be sections"),
        ("TREES__ELM__A__B", "unknown setting TERRAPOD_HOUSE__WOOD__TREES__ELM__A__B in the environment"),
        ("TREES__ÄLM__HEIGHT", "the name has lower-case letters"),
    ],
)
def test_a_wrong_variable_of_a_section_is_an_error_that_helps(name: str, expected: str) -> None:
    assert expected in refused(environ={f"TERRAPOD_HOUSE__WOOD__{name}": "x"})


def test_of_a_section_each_value_is_shown_and_no_secret() -> None:
    Path("terrapod.toml").write_text('[house.wood.trees.elm]\nheight = 2\npassword = "hunter2"\nnames = ["a", "b"]')
    settings = load(environ={"TERRAPOD_HOUSE__WOOD__TREES__OAK__PASSWORD": "hunter2"})
    rows = [row for row in settings.show() if row[0].startswith("house.")]
    assert rows == [
        ("house.wood.trees.elm.height", "2", "terrapod.toml"),
        ("house.wood.trees.elm.password", MASK, "terrapod.toml"),
        ("house.wood.trees.elm.names", "a, b", "terrapod.toml"),
        ("house.wood.trees.oak.password", MASK, "TERRAPOD_HOUSE__WOOD__TREES__OAK__PASSWORD"),
    ]


def test_the_settings_of_sections_are_described_under_a_word_for_their_name() -> None:
    rows = {row.key: row for row in reference_of(WoodSettings, "house.wood.")}
    assert list(rows) == [
        "house.wood.colour",
        "house.wood.trees",
        "house.wood.trees.NAME.height",
        "house.wood.trees.NAME.names",
        "house.wood.trees.NAME.password",
    ]
    assert rows["house.wood.trees"][1:] == (
        "sections, one for each name",
        "",
        "TERRAPOD_HOUSE__WOOD__TREES__NAME__…",
        "Trees by name.",
    )
    assert rows["house.wood.trees.NAME.height"].env == "TERRAPOD_HOUSE__WOOD__TREES__NAME__HEIGHT"
