"""Which changed files concern a workspace."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings, strategies as st

from terrapod_core.ingress.triggers import Triggers, translated

TEXT = st.text(alphabet="ab/.*?", max_size=12)
PATHS = st.lists(st.text(alphabet="ab.", min_size=1, max_size=3), min_size=1, max_size=4).map("/".join)


def matches(pattern: str, path: str) -> bool:
    """What a pattern means, slowly: character by character, with every way to go on."""
    if not pattern:
        return not path
    if pattern.startswith("**/"):
        return matches(pattern[3:], path) or any(matches(pattern[3:], path[at + 1 :]) for at, each in enumerate(path) if each == "/")
    if pattern.startswith("**"):
        return any(matches(pattern[2:], path[at:]) for at in range(len(path) + 1))
    if pattern[0] == "*":
        return matches(pattern[1:], path) or (bool(path) and path[0] != "/" and matches(pattern, path[1:]))
    if not path:
        return False
    return (path[0] != "/" if pattern[0] == "?" else path[0] == pattern[0]) and matches(pattern[1:], path[1:])


def triggers(
    *, enabled: bool = True, directory: str = "", prefixes: list[str] | None = None, patterns: list[str] | None = None
) -> Triggers:
    return Triggers(enabled, directory, prefixes or [], patterns or [])


@settings(max_examples=400, deadline=None)
@given(TEXT, PATHS)
def test_a_pattern_means_what_it_says(pattern: str, path: str) -> None:
    text = pattern.lstrip("/")
    slow = matches(f"{text}**" if text.endswith("/") else text, path)
    assert bool(re.fullmatch(translated(pattern), path)) == slow
    if pattern:
        assert triggers(patterns=[pattern]).concern([path]) == slow


@pytest.mark.parametrize(
    ("pattern", "path", "wanted"),
    [
        ("/modules/*.tf", "modules/a.tf", True),
        ("modules/*.tf", "modules/deep/a.tf", False),
        ("modules/**/*.tf", "modules/a.tf", True),
        ("modules/**/*.tf", "modules/deep/er/a.tf", True),
        ("**/*.tf", "main.tf", True),
        ("modules/", "modules/a/b", True),
        ("modules/**", "modules2/a", False),
        ("a.tf", "aXtf", False),
        ("[ab].tf", "a.tf", False),
        ("ä/?.tf", "ä/ö.tf", True),
        ("*", "with\nnewline", True),
    ],
)
def test_patterns_by_example(pattern: str, path: str, wanted: bool) -> None:
    assert triggers(patterns=[pattern]).concern([path]) is wanted


def test_a_hostile_pattern_takes_no_time() -> None:
    assert not triggers(patterns=["**/" * 20 + "*a" * 40 + "b"]).concern(["a/" * 400 + "a" * 4000])


def test_the_working_directory_and_prefixes_are_whole_directories() -> None:
    some = triggers(directory="live/prod", prefixes=["modules"])
    assert some.concern(["live/prod/main.tf"])
    assert some.concern(["README.md", "modules/a/b.tf"])
    assert not some.concern(["live/prod2/main.tf", "modules-old/a.tf", "live/main.tf", "live/prod"])


def test_patterns_stand_for_themselves_whatever_the_working_directory_is() -> None:
    some = triggers(directory="live", patterns=["modules/**"])
    assert not some.concern(["live/main.tf"])
    assert some.concern(["modules/a"])


def test_the_root_as_a_prefix_is_everything() -> None:
    assert triggers(directory="live", prefixes=[""]).concern(["README.md"])


@pytest.mark.parametrize("some", [triggers(enabled=False, directory="live"), triggers()])
def test_everything_concerns_who_says_nothing_of_files(some: Triggers) -> None:
    assert some.everything
    assert some.concern(["elsewhere"])
    assert some.concern([])


def test_what_nobody_knows_concerns_everybody_and_nothing_concerns_nobody() -> None:
    some = triggers(directory="live")
    assert some.concern(None)
    assert not some.concern([])
