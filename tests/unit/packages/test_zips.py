"""A zoo of zips: what publishers pack passes with its hashes, whatever terraform would read otherwise or not start is refused."""

from __future__ import annotations

import io
import re
import stat
import zipfile
from collections.abc import Callable

import pytest

from terrapod_core.errors import Invalid
from terrapod_core.packages.zips import Expected, Package, PackageInspector, PackageLimits
from tests.support.releases import PROGRAM, Release, package, zipped

LIMITS = PackageLimits(entries=20, unpacked_bytes=100 << 20, ratio=200)
NAME = "terraform-provider-fake_v1.0.0"


def inspect(data: bytes, *, os: str = "linux", sha256: str | None = None, step: int = 1 << 16, limits: PackageLimits = LIMITS) -> Package:
    with PackageInspector(Expected("fake", "1.0.0", os, sha256), limits) as inspector:
        for at in range(0, len(data), step):
            inspector.feed(data[at : at + step])
        inspector.finish()
        return inspector.package


def refused(data: bytes, why: str, *, os: str = "linux", sha256: str | None = None, limits: PackageLimits = LIMITS) -> None:
    with pytest.raises(Invalid, match=f"^the zip is refused: .*{re.escape(why)}"):
        inspect(data, os=os, sha256=sha256, limits=limits)


def test_a_zip_passes_however_it_is_cut_and_has_the_hash_that_terraform_locks() -> None:
    data = zipped({NAME: b"program", "docs/": b"", "docs/LICENSE": b"free\n", "README.md": b""})
    expected = "h1:Vd78G4lcilL+rHx9i6M/HF0fugNnm2497VH4QCLE3qk="
    for step in (1, 100, 1 << 16):
        assert inspect(data, step=step) == Package(expected, None)
    assert inspect(zipped({NAME: b"program", "docs/LICENSE": b"free\n", "README.md": b""}, compression=zipfile.ZIP_STORED)).h1 == expected


def test_a_program_for_windows_has_its_ending_and_needs_no_mode() -> None:
    inspect(package("fake", "1.0.0", ("windows", "amd64")), os="windows")
    inspect(zipped({NAME + ".exe": PROGRAM}, mode=0o644), os="windows")
    refused(zipped({NAME: PROGRAM}), f"its program is called {NAME}, and must be {NAME}.exe", os="windows")
    refused(zipped({NAME + ".exe": PROGRAM}), f"must be {NAME}")


def test_the_ending_of_older_releases_passes() -> None:
    inspect(zipped({NAME + "_x5": PROGRAM}))


def test_a_manifest_in_the_zip_names_the_protocols() -> None:
    manifest = b'{"version": 1, "metadata": {"protocol_versions": ["6.0"]}}'
    assert inspect(zipped({NAME: PROGRAM, "terraform-registry-manifest.json": manifest})).protocols == ("6.0",)
    with pytest.raises(Invalid, match="cannot be read"):
        inspect(zipped({NAME: PROGRAM, "terraform-registry-manifest.json": b"{"}))


def test_other_bytes_than_were_announced_are_told_first() -> None:
    release = Release.made("fake", "1.0.0")
    (data,) = release.zips.values()
    inspect(data, sha256=release.digest(("linux", "amd64")))
    tampered = data[:50] + bytes([data[50] ^ 1]) + data[51:]
    refused(tampered, "was announced", sha256=release.digest(("linux", "amd64")))
    with pytest.raises(Invalid, match="the zip is refused"):
        inspect(tampered)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"LICENSE": b""}, f"there must be one program, {NAME}, and there is none"),
        ({NAME: b"", "terraform-provider-other_v1.0.0": b""}, "and there is terraform-provider-fake_v1.0.0 and terraform-provider-other"),
        ({"terraform-provider-fake_v1.0.1": b""}, f"must be {NAME}"),
        ({"terraform-provider-fake": b""}, f"must be {NAME}"),
        ({f"bin/{NAME}": b""}, "and there is none"),
        ({NAME: b"", "/etc/passwd": b""}, "leaves the folder"),
        ({NAME: b"", "../up": b""}, "leaves the folder"),
        ({NAME: b"", "a/../../up": b""}, "leaves the folder"),
        ({NAME: b"", "C:up": b""}, "leaves the folder"),
        ({NAME: b"", "a//b": b""}, "leaves the folder"),
        ({NAME: b"", "a\\b": b""}, "characters that names of files should not have"),
        ({NAME: b"", "a\nb": b""}, "characters that names of files should not have"),
        ({NAME: b"", "x" * 1025: b""}, "too long"),
        ({NAME: b"", "a": b"", "a/": b""}, "is in it twice"),
        ({NAME: b"", **{f"{number}": b"" for number in range(20)}}, "more than 20 entries"),
    ],
)
def test_what_terraform_would_not_find_or_should_not_write_is_refused(files: dict[str, bytes], why: str) -> None:
    refused(zipped(files), why)


def test_a_program_without_the_right_to_be_executed_is_refused() -> None:
    refused(zipped({NAME: PROGRAM}, mode=0o644), "give it the mode 755")
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        info = zipfile.ZipInfo(NAME)
        info.create_system, info.external_attr = 0, 0o100755 << 16  # as made on Windows: terraform reads no mode there
        archive.writestr(info, PROGRAM)
    refused(raw.getvalue(), "give it the mode 755")


def test_links_devices_and_encryption_are_refused() -> None:
    def made(change: Callable[[zipfile.ZipInfo], None]) -> bytes:
        raw = io.BytesIO()
        with zipfile.ZipFile(raw, "w") as archive:
            for name in (NAME, "other"):
                info = zipfile.ZipInfo(name)
                info.create_system, info.external_attr = 3, 0o100755 << 16
                if name == "other":
                    change(info)
                archive.writestr(info, b"somewhere")
        return raw.getvalue()

    def kind(mode: int) -> Callable[[zipfile.ZipInfo], None]:
        return lambda info: setattr(info, "external_attr", (mode | 0o777) << 16)

    refused(made(kind(stat.S_IFLNK)), "'other' is neither a file nor a folder")
    refused(made(kind(stat.S_IFCHR)), "'other' is neither a file nor a folder")
    refused(made(lambda info: setattr(info, "compress_type", zipfile.ZIP_LZMA)), "use deflate")
    plain = made(lambda _info: None)
    at = plain.rindex(b"PK\x01\x02")
    refused(plain[: at + 8] + b"\x01" + plain[at + 9 :], "'other' is encrypted")


def test_what_could_be_read_in_two_ways_is_refused() -> None:
    data = package("fake", "1.0.0")
    refused(b"", "it is empty")
    refused(b"PK", "it is no zip")
    refused(b"\x7fELF" * 100, "it is no zip")
    refused(b"#!/bin/sh\n" + data, "bytes in it that belong to no entry")
    refused(data + b"\0", "it is no zip")
    refused(data[:-1], "it is no zip")
    commented = io.BytesIO(data)
    with zipfile.ZipFile(commented, "a") as archive:
        archive.comment = b"hello"
    refused(commented.getvalue(), "has a comment")


def test_twice_the_same_name_is_refused() -> None:
    twice = zipped({NAME: PROGRAM, "aaaa": b"1", "bbbb": b"2"}).replace(b"bbbb", b"aaaa")
    refused(twice, "'aaaa' is in it twice")


def test_bombs_are_refused_before_they_are_unpacked() -> None:
    bomb = zipped({NAME: PROGRAM, "zeros": bytes(80 << 20)})
    refused(bomb, "more than 200 times its size")
    refused(bomb, "more than 1000 bytes", limits=PackageLimits(entries=20, unpacked_bytes=1000, ratio=200))
    lying = bomb.replace((80 << 20).to_bytes(4, "little"), (1 << 10).to_bytes(4, "little"))
    with pytest.raises(Invalid, match="the zip is refused"):
        inspect(lying)  # what is read of an entry ends where it says, and its CRC is another one
