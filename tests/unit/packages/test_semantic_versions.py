"""Version numbers in the registry: what is one, and in which order they are."""

from __future__ import annotations

import random

import pytest

from terrapod_core.errors import Invalid
from terrapod_core.packages.versions import SemanticVersion, checked

RISING = [
    "0.0.0",
    "0.0.1-0",
    "0.0.1",
    "0.9.0",
    "0.10.0",
    "1.0.0-0",
    "1.0.0-2",
    "1.0.0-11",
    "1.0.0-11.a",
    "1.0.0--",
    "1.0.0-11a",
    "1.0.0-A",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.1.0",
    "1.0.0-alpha.beta",
    "1.0.0-alpha-",
    "1.0.0-alpha0",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.1",
    "1.2.0",
    "1.10.0",
    "2.0.0",
    "10.0.0",
    "999999999999999999.0.0",
]
"""Section 11 of semver.org with its corners: `-` is a word, and words come after numbers."""


def parsed(text: str) -> SemanticVersion:
    version = SemanticVersion.parse(text)
    assert version is not None, text
    return version


def test_versions_sort_as_semantic_versioning_says_by_themselves_and_by_the_bytes_of_their_column() -> None:
    mixed = random.Random(3).sample(RISING, len(RISING))
    assert [str(each) for each in sorted(map(parsed, mixed))] == RISING
    assert sorted(mixed, key=lambda text: parsed(text).order.encode()) == RISING


@pytest.mark.parametrize("text", [*RISING, "1.0.0+build.5", "1.0.0-rc.1+0005", "1.0.0-0A-.b--"])
def test_a_version_is_written_as_it_was_sent(text: str) -> None:
    assert str(checked(text)) == text


def test_two_that_differ_in_the_build_alone_are_one() -> None:
    plain, built = parsed("1.2.3-rc.1"), parsed("1.2.3-rc.1+linux.7")
    assert plain.order == built.order
    assert plain.precedence == built.precedence == "1.2.3-rc.1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.2",
        "1.2.3.4",
        "01.2.3",
        "1.02.3",
        "1.2.03",
        "1.2.3-",
        "1.2.3-01",
        "1.2.3-a..b",
        "1.2.3+",
        "1.2.3+a_b",
        "1.2.3 ",
        " 1.2.3",
        "1.2.3\n",
        "1.2.3-ä",
        "١.2.3",
        "-1.2.3",
        "latest",
        "~> 1.2",
        "1.2.x",
        "1000000000000000000.0.0",
        "1.2.3-1000000000000000000",
        f"1.2.3-{'a' * 123}",
        "../1.2.3",
    ],
)
def test_what_is_no_semantic_version_is_refused(text: str) -> None:
    assert SemanticVersion.parse(text) is None
    with pytest.raises(Invalid, match="is not a semantic version") as refusal:
        checked(text)
    assert refusal.value.problems[0].pointer == "/data/attributes/version"


def test_a_leading_v_is_refused_with_what_to_write() -> None:
    with pytest.raises(Invalid, match=r"write 1\.2\.3-rc\.1$"):
        checked("v1.2.3-rc.1")
