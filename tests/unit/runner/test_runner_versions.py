from __future__ import annotations

import pytest

from terrapod_core.runner.versions import Version, Wanted


def accepts(wanted: str, version: str) -> bool:
    parsed = Version.parse(version)
    assert parsed is not None
    return Wanted.parse(wanted).accepts(parsed)


@pytest.mark.parametrize(
    ("wanted", "version"),
    [
        ("latest", "1.11.4"),
        ("", "1.0.0"),
        ("1.11.4", "1.11.4"),
        ("v1.11.4", "1.11.4"),
        ("1.11", "1.11.9"),
        ("1", "1.99.0"),
        ("~> 1.11", "1.12.0"),
        ("~> 1.11.2", "1.11.9"),
        ("~> 1", "2.0.0"),
        (">= 1.9, < 2.0", "1.11.4"),
        (">=1.9,!=1.10.0", "1.10.1"),
        ("= 1.11", "1.11.0"),
        ("> 1.0.0", "1.0.1"),
        ("<= 1.11.4", "1.11.4"),
        ("1.12.0-rc1", "1.12.0-rc1"),
        (">= 1.12.0-beta1", "1.12.0-rc1"),
    ],
)
def test_a_version_that_fits_is_accepted(wanted: str, version: str) -> None:
    assert accepts(wanted, version)


@pytest.mark.parametrize(
    ("wanted", "version"),
    [
        ("latest", "1.12.0-rc1"),
        ("1.11.4", "1.11.5"),
        ("1.11", "1.12.0"),
        ("1.1", "1.11.0"),
        ("~> 1.11", "2.0.0"),
        ("~> 1.11", "1.10.9"),
        ("~> 1.11.2", "1.12.0"),
        ("~> 1.11.2", "1.11.1"),
        (">= 1.9, < 1.11", "1.11.0"),
        ("!= 1.10.0", "1.10.0"),
        ("= 1.11", "1.11.4"),
        (">= 1.9", "1.12.0-rc1"),
        ("1.12.0", "1.12.0-rc1"),
    ],
)
def test_a_version_that_does_not_fit_is_not(wanted: str, version: str) -> None:
    assert not accepts(wanted, version)


@pytest.mark.parametrize("text", ["newest", "1.x", ">= ", "~> 1.2 < 3", "1.2.3.4", ",", "=> 1.0"])
def test_a_text_that_is_no_constraint_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write `latest`"):
        Wanted.parse(text)


def test_versions_sort_by_number_and_a_prerelease_before_its_release() -> None:
    texts = ["1.2.0-alpha", "1.2.0-rc2", "1.2.0-rc10", "1.2.0", "1.10.0"]
    parsed = [Version.parse(text) for text in ["1.10.0", "1.2.0", "1.2.0-rc2", "1.2.0-alpha", "1.2.0-rc10"]]
    ordered = sorted((version for version in parsed if version), key=lambda version: version.order)
    # rc2 and rc10 are words to semantic versioning, so rc10 comes first.
    assert [str(version) for version in ordered] == [texts[0], texts[2], texts[1], texts[3], texts[4]]
