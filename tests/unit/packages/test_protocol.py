"""The documents in which terraform reads about providers and modules."""

from __future__ import annotations

import pytest

from terrapod_core.packages.protocol import MirroredArchive, archive_address, mirror_index, mirror_version, module_versions, platforms_of


def test_documents_of_a_network_mirror() -> None:
    assert mirror_index(["1.1.0", "1.0.0"]) == b'{"versions":{"1.1.0":{},"1.0.0":{}}}'
    assert mirror_version({"linux_amd64": MirroredArchive("/c/x", ["zh:1"])}) == (
        b'{"archives":{"linux_amd64":{"url":"/c/x","hashes":["zh:1"]}}}'
    )


def test_versions_of_a_module() -> None:
    assert module_versions("acme/pet/null", [{"version": "1.0.0"}]) == (
        b'{"modules":[{"source":"acme/pet/null","versions":[{"version":"1.0.0"}]}]}'
    )


@pytest.mark.parametrize(
    ("root", "address"), [("", "/c/x?archive=zip"), ("top", "/c/x//top?archive=zip"), ("top/in", "/c/x//top/in?archive=zip")]
)
def test_an_archives_address_says_where_in_it_the_module_is(root: str, address: str) -> None:
    assert archive_address("/c/x", "zip", root) == address


def test_platforms_are_read_from_their_names() -> None:
    assert [(each.os, each.arch) for each in platforms_of(["linux_amd64", "windows_386"])] == [("linux", "amd64"), ("windows", "386")]
