"""What mirrors over https have in common, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrapod_core.outgoing import HTTPClients
from terrapod_core.plugin import (
    Answer,
    Document,
    Platform,
    Upstream,
    UpstreamFailed,
    UpstreamMissing,
    UpstreamSettings,
    check_address,
    read_keys,
    segments,
)
from terrapod_core.plugin.upstreams import host_of
from tests.support.releases import Publisher

DOCUMENT: Document[object] = Document({}, Answer(b"", "https://example.com:8443/a/b.json", {}))


@pytest.mark.parametrize(
    "version", ["1.0.0", "0.0.1", "10.20.30", "1.0.0-rc1", "1.0.0-alpha20240606", "0.11.15-oci", "1.0.0-beta.1", "1.0.0+ent"]
)
def test_versions_that_terraform_reads(version: str) -> None:
    assert DOCUMENT.is_version(version)


@pytest.mark.parametrize("version", ["1.0", "v1.0.0", "1.0.0.0", "01.0.0", "nightly", "1.0.0-", "1.0.0_x", "a" * 128])
def test_versions_that_are_none_and_harm_nobody_are_left_out(version: str) -> None:
    assert not DOCUMENT.is_version(version)


@pytest.mark.parametrize(
    "version", ["", "../x", "1.0.0/x", "1.0.0 ", "1.0.0\n", "-1.0.0", "1.0.0\x1b", "１.0.0", "1０.0.0", "a" * 129, "1.0.0%2f"]
)
def test_what_no_version_could_be_is_an_odd_answer(version: str) -> None:
    with pytest.raises(UpstreamFailed, match=r"^example\.com:8443: names a version .{2,60}, which is none$"):
        DOCUMENT.is_version(version)


def test_platforms() -> None:
    assert DOCUMENT.platform("linux", "amd64") == Platform("linux", "amd64")
    for os, arch in (("Linux", "amd64"), ("", "amd64"), ("linux", "a/b"), ("linux", "x" * 33), ("linux_amd64", "x")):
        with pytest.raises(UpstreamFailed, match="names a platform"):
            DOCUMENT.platform(os, arch)


def test_links() -> None:
    assert DOCUMENT.link("c.zip") == "https://example.com:8443/a/c.zip"
    assert DOCUMENT.link("/c.zip", "https://other.example/x/y") == "https://other.example/c.zip"
    with pytest.raises(UpstreamFailed, match="names an address that cannot be read"):
        DOCUMENT.link("https://[x/")


def test_names_become_paths() -> None:
    assert segments("acme", "fake_2", "1.0.0+x") == "acme/fake_2/1.0.0%2Bx"
    for name in ("", "..", ".", "a/b", "a?b", "a#b", "%2e", "a b", "-a", "ä", "a" * 129):
        with pytest.raises(UpstreamMissing, match="There can be nothing called"):
            segments("acme", name)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://example.com/x", "example.com"),
        ("https://example.com:443/", "example.com"),
        ("https://Example.com:8443/", "example.com:8443"),
        ("https://[::1]:5000/", "[::1]:5000"),
        ("https://user:hunter2@example.com/", "example.com"),
        ("file:///srv/a%20mirror/x", "/srv/a mirror/x"),
        ("https://[x", "the upstream"),
        ("nothing", "the upstream"),
    ],
)
def test_hosts_as_sentences_name_them(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://x/",
        "https://",
        "https:///x",
        "https://u@x/",
        "https://x/?a",
        "https://x/#a",
        "https://x:0/",
        "https://x:a/",
        "https://[x",
    ],
)
def test_addresses_that_are_none_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"^url must be an https:// address"):
        check_address("url", url)
    check_address("url", "https://example.com:8443/a/b")


def test_an_upstream_of_no_hosts_is_refused_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="is no host"):
        Upstream(HTTPClients(), ["https://exa mple/"], "mirror.test", UpstreamSettings())


def test_keys_of_a_file(tmp_path: Path) -> None:
    one, two = Publisher().armor, Publisher().armor
    path = tmp_path / "keys.asc"
    path.write_text(f"The keys of two:\n{one}\n{two}")
    assert [key.strip() for key in read_keys(path)] == [one.strip(), two.strip()]
    for content in (b"", b"x" * 300_000, one.encode()[:-40], one.encode() + b"\xff"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="holds no public key"):
            read_keys(path)
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        read_keys(tmp_path)
