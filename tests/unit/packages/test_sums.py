"""`SHA256SUMS`: what terraform reads passes, whatever it would read otherwise is refused with the reason."""

from __future__ import annotations

import re

import pytest

from terrapod_core.errors import Invalid
from terrapod_core.packages.files import platform_of, read_manifest
from terrapod_core.packages.sums import read_sums, written_sums
from tests.support.releases import Release

A, B = "a" * 64, "b" * 64
LINUX, WINDOWS = ("linux", "amd64"), ("windows", "arm64")


def test_what_a_publisher_writes_is_read_with_its_manifest_and_in_either_case() -> None:
    document = (
        f"{A.upper()}  terraform-provider-fake_1.0.0_linux_amd64.zip\r\n\n{B} terraform-provider-fake_1.0.0_windows_arm64.zip\n"
        f"{A}  terraform-provider-fake_1.0.0_manifest.json"
    )
    assert read_sums(document.encode(), "fake", "1.0.0") == {LINUX: A, WINDOWS: B}


def test_what_the_server_writes_it_reads_again_in_the_order_of_names() -> None:
    sums = {WINDOWS: B, LINUX: A}
    written = written_sums(sums, "fake", "1.0.0-rc.1")
    assert read_sums(written, "fake", "1.0.0-rc.1") == sums
    assert written.splitlines()[0] == f"{A}  terraform-provider-fake_1.0.0-rc.1_linux_amd64.zip".encode()
    release = Release.made("fake", "2.0.0", LINUX)
    assert written_sums({LINUX: release.digest(LINUX)}, "fake", "2.0.0") == release.sums


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("", "names no zip"),
        (f"{A}  terraform-provider-fake_1.0.0_manifest.json\n", "names no zip"),
        (f"{A} *terraform-provider-fake_1.0.0_linux_amd64.zip\n", "line 1 is not 64 hexadecimal digits"),
        (f"{A[1:]}  terraform-provider-fake_1.0.0_linux_amd64.zip\n", "line 1 is not"),
        (f"{A}  dist/terraform-provider-fake_1.0.0_linux_amd64.zip\n", "line 1 is not"),
        (f"{A}  terraform-provider-fake_1.0.1_linux_amd64.zip\n", "it names terraform-provider-fake_1.0.1_linux_amd64.zip"),
        (f"{A}  terraform-provider-other_1.0.0_linux_amd64.zip\n", "files called terraform-provider-fake_1.0.0_OS_ARCH.zip"),
        (f"{A}  terraform-provider-fake_1.0.0_Linux_amd64.zip\n", "it names terraform-provider-fake_1.0.0_Linux_amd64.zip"),
        (f"{A}  README.md\n", "it names README.md"),
        (2 * f"{A}  terraform-provider-fake_1.0.0_linux_amd64.zip\n", "terraform-provider-fake_1.0.0_linux_amd64.zip twice"),
        (f"{A}  terraform-provider-f\u00e4ke_1.0.0_linux_amd64.zip\n", "no text of ASCII characters"),
    ],
)
def test_what_no_release_has_is_refused(document: str, why: str) -> None:
    with pytest.raises(Invalid, match=f"^SHA256SUMS is refused: .*{re.escape(why)}"):
        read_sums(document.encode(), "fake", "1.0.0")


def test_a_zip_says_its_platform_by_its_exact_name() -> None:
    assert platform_of("terraform-provider-fake_1.0.0_linux_amd64.zip", "fake", "1.0.0") == LINUX
    for name in ("terraform-provider-fake_1.0.0_linux.zip", "terraform-provider-fake_1.0.0_linux_amd_64.zip", "x.zip", ""):
        assert platform_of(name, "fake", "1.0.0") is None


def test_a_manifest_names_the_protocols() -> None:
    assert read_manifest(b'{"version": 1, "metadata": {"protocol_versions": ["6.0", "5.1", "6.0"]}, "more": 1}') == ("6.0", "5.1")
    assert read_manifest(b'{"version": 1}') == ()
    for document, why in {
        b"{": "cannot be read",
        b"\xff": "cannot be read",
        b'{"version": 2}': "only version 1 is known",
        b'{"version": 1, "metadata": {"protocol_versions": ["4.0"]}}': "'4.0' is no protocol of providers",
        b'{"version": 1, "metadata": {"protocol_versions": [6]}}': "cannot be read",
    }.items():
        with pytest.raises(Invalid, match=re.escape(why)):
            read_manifest(document)
