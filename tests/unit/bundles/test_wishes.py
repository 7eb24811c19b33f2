"""What is asked for, in the words of people, lock files and module calls."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from terrapod_core.bundles import wishes
from terrapod_core.bundles.configuration import ConfigurationReader
from terrapod_core.bundles.constraints import newest
from terrapod_core.bundles.problems import BundleError
from terrapod_core.plugin import EngineSource, ModuleSource, ProviderSource
from terrapod_core.tarballs import ArchiveLimits
from tests.support.wire import archive

VERSIONS = ["0.9.0", "1.0.0", "1.2.0", "1.2.5", "1.10.0", "2.0.0", "3.0.0-rc.1"]
VPC = ModuleSource("registry.terraform.io", "acme", "vpc", "aws")


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        (None, "2.0.0"),
        ("", "2.0.0"),
        ("1.2.0", "1.2.0"),
        ("= 1.2", "1.2.0"),
        ("~> 1.2", "1.10.0"),
        ("~> 1.2.0", "1.2.5"),
        ("~> 1", "2.0.0"),
        (">= 1.0, < 1.10", "1.2.5"),
        ("!= 2.0.0", "1.10.0"),
        ("> 2.0.0", None),
        ("3.0.0-rc.1", "3.0.0-rc.1"),
        (">= 3.0.0-rc.1", None),
        ("<= v1.0.0", "1.0.0"),
    ],
)
def test_a_constraint_takes_the_newest_version_as_terraform_does(constraint: str | None, expected: str | None) -> None:
    assert newest(VERSIONS, constraint) == expected


@pytest.mark.parametrize("constraint", ["latest", "1.2.3.4", ">>1", "1.2 1.3", "~>"])
def test_what_is_no_constraint_is_said(constraint: str) -> None:
    with pytest.raises(ValueError, match="is no version constraint"):
        newest(VERSIONS, constraint)


def test_things_are_named_as_the_documentation_says() -> None:
    assert wishes.engine("tofu@1.10.0").source == EngineSource("tofu")
    assert wishes.provider("hashicorp/random@3.6.0").source == ProviderSource("registry.terraform.io", "hashicorp", "random")
    assert wishes.module("registry.terraform.io/acme/vpc/aws@5.0.0").source == VPC


@pytest.mark.parametrize("text", ["terraform", "bash@1.0.0", "terraform@latest", "terraform@"])
def test_an_engine_that_cannot_be_is_said(text: str) -> None:
    with pytest.raises(BundleError):
        wishes.engine(text)


@pytest.mark.parametrize("text", ["random@1.0.0", "a/b/c/d@1.0.0", "a b/c@1.0.0", "hashicorp/random@../x"])
def test_a_provider_that_cannot_be_is_said(text: str) -> None:
    with pytest.raises(BundleError):
        wishes.provider(text)


@pytest.mark.parametrize("text", ["linux", "linux_", "Linux_amd64", "linux_amd64_x"])
def test_a_platform_that_cannot_be_is_said(text: str) -> None:
    with pytest.raises(BundleError):
        wishes.platform(text)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("acme/vpc/aws", VPC),
        ("acme/vpc/aws//modules/subnet", VPC),
        ("REGISTRY.terraform.io/acme/vpc/aws", VPC),
        ("./modules/vpc", None),
        ("../vpc/net/aws", None),
        ("github.com/acme/vpc/aws", None),
        ("git::https://example.com/acme/vpc.git", None),
        ("https://example.com/vpc.zip", None),
        ("acme/vpc", None),
    ],
)
def test_calls_of_registries_are_told_from_others(source: str, expected: ModuleSource | None) -> None:
    assert wishes.called_module(source) == expected


async def test_a_configuration_is_read_where_it_runs_and_in_the_directories_that_it_calls() -> None:
    files = {
        "live/main.tf": 'module "a" {\n  source = "../shared"\n}\nmodule "git" {\n  source = "git::https://example.com/x.git"\n}\n',
        "live/.terraform.lock.hcl": 'provider "registry.terraform.io/hashicorp/random" {\n  version     = "3.6.0"\n}\n',
        "shared/main.tf": 'module "b" {\n  source  = "acme/vpc/aws"\n  version = "~> 5.0"\n}\n',
        "other/main.tf": 'module "c" {\n  source  = "acme/never/aws"\n}\n',
        "other/.terraform.lock.hcl": 'provider "registry.terraform.io/hashicorp/never" {\n  version = "1.0.0"\n}\n',
    }
    used = await ConfigurationReader(ArchiveLimits()).configuration(_whole(archive(files)), "live", "workspace w")
    assert [(str(wish.source), wish.version, wish.constraint) for wish in used.wishes] == [
        ("registry.terraform.io/hashicorp/random", "3.6.0", None),
        ("registry.terraform.io/acme/vpc/aws", None, "~> 5.0"),
    ]
    assert used.left_out == ["workspace w calls 'git::https://example.com/x.git', which is no module of a registry"]


async def test_a_configuration_that_cannot_be_parsed_is_told_and_no_reason_to_fail() -> None:
    used = await ConfigurationReader(ArchiveLimits()).configuration(_whole(archive({"main.tf": 'module "a" {'})), "", "workspace w")
    assert (used.wishes, used.locked) == ([], False)
    assert "main.tf" in used.left_out[0]


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content
