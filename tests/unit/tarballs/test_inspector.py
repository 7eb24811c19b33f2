"""A zoo of archives: what terraform packs passes, whatever leaves the tree or fills the disk does not."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
from collections.abc import Callable

import pytest

from terrapod_core.errors import Invalid
from terrapod_core.tarballs import RATIO_FROM, ArchiveInspector, ArchiveLimits
from tests.support.wire import archive, entry, packed

LIMITS = ArchiveLimits(entries=50, unpacked_bytes=32 << 20, ratio=200, path_bytes=200)
MAIN = entry("main.tf", b"locals {}\n")


def inspect(data: bytes, step: int = 1 << 16, limits: ArchiveLimits = LIMITS) -> None:
    inspector = ArchiveInspector(limits)
    for at in range(0, len(data), step):
        inspector.feed(data[at : at + step])
    inspector.finish()


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, kind=tarfile.SYMTYPE, target=target)


def tar_of(format_: int, *members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=format_) as tar:
        for member, content in members:
            tar.addfile(member, io.BytesIO(content))
    return raw.getvalue()


@pytest.mark.parametrize("step", [1, 7, 511, 1 << 16])
def test_what_terraform_packs_passes_however_it_is_cut(step: int) -> None:
    members = [
        entry("modules/", kind=tarfile.DIRTYPE),
        entry("modules/net/main.tf", b"x" * 3000),
        link("modules/same", "net"),
        link("modules/net/up.tf", "../../main.tf"),
        MAIN,
        entry("./empty.tf"),
    ]
    inspect(packed(members), step)


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_read_in_every_format(format_: int) -> None:
    name = "d" * 90 + "/" + "n" * 80
    inspect(gzip.compress(tar_of(format_, entry(name, b"x"), MAIN)))
    outside = "d" * 120 + "/../../" + "n" * 20
    with pytest.raises(Invalid, match="leaves the archive's directory"):
        inspect(gzip.compress(tar_of(format_, entry(outside, b"x"))))


def test_an_archive_of_several_gzip_members_is_one_archive() -> None:
    raw = tar_of(tarfile.PAX_FORMAT, MAIN)
    inspect(gzip.compress(raw[:700]) + gzip.compress(raw[700:]) + b"\0" * 100)


def test_an_archive_without_its_last_record_passes() -> None:
    raw = tar_of(tarfile.PAX_FORMAT, MAIN)
    inspect(gzip.compress(raw[:1024]))


def test_an_empty_directory_packs_to_an_archive_without_entries() -> None:
    inspect(packed([]))


def test_a_comment_of_git_archive_passes() -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", pax_headers={"comment": "a" * 40}) as tar:
        tar.addfile(MAIN[0], io.BytesIO(MAIN[1]))
    inspect(gzip.compress(raw.getvalue()))


HOSTILE: dict[str, tuple[list[tuple[tarfile.TarInfo, bytes]], str]] = {
    "an absolute path": ([entry("/etc/passwd", b"x")], "leaves the archive's directory"),
    "a path that climbs": ([entry("a/../../b", b"x")], "leaves the archive's directory"),
    "a directory that climbs": ([entry("../up", kind=tarfile.DIRTYPE)], "leaves the archive's directory"),
    "a path too long": ([entry("a/" * 120 + "b", b"x")], "is longer than 200 bytes"),
    "a hard link": ([MAIN, entry("b", kind=tarfile.LNKTYPE, target="main.tf")], "'b' is a hard link"),
    "a character device": ([entry("null", kind=tarfile.CHRTYPE)], "'null' is a device"),
    "a block device": ([entry("sda", kind=tarfile.BLKTYPE)], "'sda' is a device"),
    "a pipe": ([entry("pipe", kind=tarfile.FIFOTYPE)], "'pipe' is a device, a pipe"),
    "a link to an absolute path": ([link("key", "/etc/passwd")], "symbolic link 'key' -> '/etc/passwd' leaves"),
    "a link that climbs": ([link("a/key", "../../key")], "symbolic link 'a/key' -> '../../key' leaves"),
    "a link that climbs later": ([link("a/b/key", "../c/../../../key")], "leaves the archive's directory"),
    "a link to nothing": ([link("key", "")], "has no usable target"),
    "a file below a link": ([link("a", "b"), entry("a/main.tf", b"x")], "in place of, or below, the symbolic link 'a'"),
    "a file in place of a link": ([link("a", "b"), entry("a", b"x")], "in place of, or below, the symbolic link 'a'"),
    "a link in place of a file": ([MAIN, link("main.tf", "other")], "'main.tf' is there twice"),
    "a link in place of a directory": ([entry("a/b/c", b"x"), link("a", "d")], "'a' is there twice"),
    "too many entries": ([entry(f"f{number}", b"x") for number in range(51)], "more than 50 entries"),
}


@pytest.mark.parametrize(("members", "says"), HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("step", [100, 1 << 16])
def test_what_could_leave_the_tree_is_refused_by_name(members: list[tuple[tarfile.TarInfo, bytes]], says: str, step: int) -> None:
    with pytest.raises(Invalid, match=re.escape(says)) as refusal:
        inspect(packed(members), step)
    assert refusal.value.code == "bad_archive"


def test_a_sparse_file_is_refused() -> None:
    sparse = tarfile.TarInfo("sparse")
    sparse.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
    with pytest.raises(Invalid, match="sparse"):
        inspect(packed([(sparse, b"")]))


def test_a_global_header_that_renames_what_follows_is_refused() -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", pax_headers={"path": "../../evil"}) as tar:
        tar.addfile(MAIN[0], io.BytesIO(MAIN[1]))
    with pytest.raises(Invalid, match="global header"):
        inspect(gzip.compress(raw.getvalue()))


def test_a_bomb_is_refused_long_before_it_is_through() -> None:
    bomb = gzip.compress(tar_of(tarfile.PAX_FORMAT, entry("zeros", bytes(RATIO_FROM * 4))))
    inspector = ArchiveInspector(ArchiveLimits(unpacked_bytes=1 << 40, entries=10))
    fed = 0
    with pytest.raises(Invalid, match="more than 200 times its size"):
        for at in range(0, len(bomb), 4096):
            fed = at
            inspector.feed(bomb[at : at + 4096])
    assert fed < len(bomb) // 2


def test_a_header_that_promises_too_much_is_refused_before_its_content_comes() -> None:
    header = tarfile.TarInfo("large")
    header.size = LIMITS.unpacked_bytes + 1
    with pytest.raises(Invalid, match="unpacks to more than"):
        ArchiveInspector(LIMITS).feed(gzip.compress(header.tobuf()))


def test_a_small_archive_of_blanks_is_no_bomb() -> None:
    inspect(archive({"main.tf": b" " * (1 << 20)}))


BROKEN: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "nothing": (lambda _data: b"", "it is empty"),
    "no gzip": (gzip.decompress, "not gzip-compressed"),
    "a zip": (lambda _data: b"PK\x03\x04" + bytes(100), "not gzip-compressed"),
    "no tar": (lambda _data: gzip.compress(b"hello " * 200), "not a tar archive"),
    "a few bytes": (lambda _data: gzip.compress(b"hello"), "cut short, or is not a tar archive"),
    "half": (lambda data: data[: len(data) // 2], "cut short"),
    "one byte short": (lambda data: data[:-1], "cut short"),
    "a byte wrong": (lambda data: data[:40] + bytes([data[40] ^ 0xFF]) + data[41:], "archive is refused"),
    "half the tar": (lambda data: gzip.compress(gzip.decompress(data)[:1300]), "cut short"),
    "garbage behind": (lambda data: data + b"garbage", "compression is damaged"),
}


@pytest.mark.parametrize(("spoil", "says"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_not_whole_is_refused(spoil: Callable[[bytes], bytes], says: str) -> None:
    whole = packed([entry("main.tf", bytes(range(256)) * 8)])
    with pytest.raises(Invalid, match=says):
        inspect(spoil(whole), 64)
