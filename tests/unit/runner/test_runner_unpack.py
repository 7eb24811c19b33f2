from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from terrapod_core.runner.failures import PhaseFailed
from terrapod_core.runner.order import Limits
from terrapod_core.runner.unpack import unpack


def entry(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for field, value in fields.items():
        setattr(member, field, value)
    return member, data


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, type=kind, linkname=target)


def packed(tmp_path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    path = tmp_path / "archive.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for member, data in entries:
            tar.addfile(member, io.BytesIO(data))
    return path


def test_files_directories_and_links_inside_are_unpacked(tmp_path: Path) -> None:
    archive = packed(
        tmp_path,
        link("envs/prod/common.tf", "../../common.tf"),
        entry("./", type=tarfile.DIRTYPE),
        entry("./common.tf", b"locals {}"),
        entry("run.sh", b"#!", mode=0o755),
        entry("empty/", type=tarfile.DIRTYPE),
        entry("deep/er/file", b"x"),
    )
    root = tmp_path / "out"
    unpack(archive, root, Limits())
    assert (root / "envs/prod/common.tf").read_bytes() == b"locals {}"
    assert os.access(root / "run.sh", os.X_OK)
    assert not os.access(root / "common.tf", os.X_OK)
    assert (root / "empty").is_dir()
    assert (root / "deep/er/file").is_file()


@pytest.mark.parametrize(
    "bad",
    [
        entry("../outside", b"x"),
        entry("a/../../outside", b"x"),
        entry("/etc/outside", b"x"),
        link("l", "/etc/passwd"),
        link("l", "../outside"),
        link("a/l", "../../outside"),
        link("a/l", "b/../../../outside"),
        link("l", "a/.."),
        link("l", ""),
        link("l", "main.tf", tarfile.LNKTYPE),
        entry("fifo", type=tarfile.FIFOTYPE),
        entry("device", type=tarfile.CHRTYPE),
        entry("x" * 1100, b"x"),
        entry("sub/file.tf/file", b"x"),
    ],
)
def test_an_entry_that_is_no_plain_part_of_the_tree_refuses_the_archive(tmp_path: Path, bad: tuple[tarfile.TarInfo, bytes]) -> None:
    archive = packed(tmp_path, entry("main.tf", b"x"), entry("sub/file.tf", b"x"), bad)
    with pytest.raises(PhaseFailed, match="refused"):
        unpack(archive, tmp_path / "out", Limits())
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("order", [0, 1])
def test_nothing_is_written_through_a_link(tmp_path: Path, order: int) -> None:
    (tmp_path / "victim").mkdir()
    parts = [link("dir", "other"), entry("dir/file", b"x")]
    archive = packed(tmp_path, entry("other/file", b"kept"), *(parts if order else reversed(parts)))
    with pytest.raises(PhaseFailed, match="twice"):
        unpack(archive, tmp_path / "out", Limits())
    assert (tmp_path / "out/other/file").read_bytes() == b"kept"


def test_a_file_that_comes_twice_is_the_last_one(tmp_path: Path) -> None:
    unpack(packed(tmp_path, entry("a", b"first and longer"), entry("a", b"last")), tmp_path / "out", Limits())
    assert (tmp_path / "out/a").read_bytes() == b"last"


def test_too_many_entries_are_refused(tmp_path: Path) -> None:
    archive = packed(tmp_path, *(entry(f"f{number}") for number in range(6)))
    unpack(archive, tmp_path / "fits", Limits(entries=6))
    with pytest.raises(PhaseFailed, match="more than 5 entries"):
        unpack(archive, tmp_path / "out", Limits(entries=5))


def test_more_unpacked_bytes_than_the_limit_are_refused(tmp_path: Path) -> None:
    archive = packed(tmp_path, entry("a", os.urandom(600)), entry("b", os.urandom(600)))
    unpack(archive, tmp_path / "fits", Limits(unpacked_bytes=1200))
    with pytest.raises(PhaseFailed, match="1199"):
        unpack(archive, tmp_path / "out", Limits(unpacked_bytes=1199))


def test_a_bomb_is_refused_by_its_ratio(tmp_path: Path) -> None:
    archive = packed(tmp_path, entry("zeros", bytes(20 << 20)))
    unpack(archive, tmp_path / "fits", Limits(ratio=2000))
    with pytest.raises(PhaseFailed, match="200 times its packed size"):
        unpack(archive, tmp_path / "out", Limits())
    assert list((tmp_path / "out").iterdir()) == []


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 8 << 20
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(gzip.compress(header.tobuf() + bytes(8 << 20) + bytes(1024)))
    with pytest.raises(PhaseFailed, match="header is too large"):
        unpack(path, tmp_path / "out", Limits())


@pytest.mark.parametrize("cut", [10, 100, -400, -4])
def test_an_archive_that_was_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    archive = packed(tmp_path, entry("a", os.urandom(20_000)))
    archive.write_bytes(archive.read_bytes()[:cut])
    with pytest.raises(PhaseFailed, match=r"not a whole tar\.gz archive"):
        unpack(archive, tmp_path / "out", Limits())


def test_a_text_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(b"<html>")
    with pytest.raises(PhaseFailed, match=r"not a whole tar\.gz archive"):
        unpack(path, tmp_path / "out", Limits())
