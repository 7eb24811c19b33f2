"""Which tags name versions, and which repositories name modules."""

from __future__ import annotations

import pytest

from terrapod_core.registry.modules.tag_names import module_of, version_of


@pytest.mark.parametrize(
    ("tag", "prefix", "version"),
    [
        ("v1.2.3", "", "1.2.3"),
        ("1.2.3", "", "1.2.3"),
        ("v2.0.0-rc.1", "", "2.0.0-rc.1"),
        ("1.0.0+build.7", "", "1.0.0+build.7"),
        ("network/v1.2.0", "network/", "1.2.0"),
        ("network-1.2.0", "network-", "1.2.0"),
        ("network/v1.2.0", "", None),
        ("v1.2.0", "network/", None),
        ("network/v1.2.0", "net", None),
        ("vv1.2.3", "", None),
        ("V1.2.3", "", None),
        ("v1.2", "", None),
        ("release", "", None),
        ("v01.2.3", "", None),
        ("", "", None),
    ],
)
def test_a_tag_names_a_version_behind_the_prefix(tag: str, prefix: str, version: str | None) -> None:
    found = version_of(tag, prefix)
    assert (str(found) if found is not None else None) == version


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("acme/terraform-aws-vpc", ("vpc", "aws")),
        ("group/sub/terraform-google-cloud-run", ("cloud-run", "google")),
        ("acme/terraform-aws", None),
        ("acme/vpc", None),
        ("terraform-aws-x/vpc", None),
    ],
)
def test_a_repository_may_name_its_module(path: str, found: tuple[str, str] | None) -> None:
    assert module_of(path) == found
