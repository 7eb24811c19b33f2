"""From a forge's archive to a configuration."""

from __future__ import annotations

import gzip
import io
import struct
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from terrapod_core.vcs.packing.order import Notes, Order
from terrapod_core.vcs.packing.repacking import Refused, repack

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)

Entry = tuple[str, bytes | str | None]
"""Name and contents of a file, or `None` for a directory; `-> target` for a symbolic link."""


def forged(entries: Iterable[Entry | tarfile.TarInfo], top: str = "acme-repo-0123456") -> bytes:
    """An archive as a forge packs it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry)
                continue
            name, content = entry
            member = tarfile.TarInfo(f"{top}/{name}")
            if content is None:
                member.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content.removeprefix("-> ")
            else:
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
    return packed.getvalue()


def repacked(
    archive: bytes, *, paths: list[str] | None = None, directories: tuple[str, ...] = ("",), **more: Any
) -> tuple[list[str], Notes]:
    """The names in the configuration, and the notes."""
    target, notes = io.BytesIO(), Notes()
    repack(io.BytesIO(archive), target, Order(paths=paths, directories=list(directories), **more), notes)
    with tarfile.open(fileobj=io.BytesIO(target.getvalue()), mode="r:gz") as tar:
        return tar.getnames(), notes


def test_the_directory_at_the_top_goes_and_all_else_stays_in_its_order() -> None:
    names, notes = repacked(forged([("", None), ("main.tf", b"a"), ("live", None), ("live/main.tf", b"b"), (".gitignore", b"")]))
    assert names == ["main.tf", "live", "live/main.tf", ".gitignore"]
    assert (notes.files, notes.there, notes.configured) == (3, [""], [""])


def test_contents_and_the_right_to_execute_are_kept_and_nothing_else_of_a_files_owner() -> None:
    script = tarfile.TarInfo("top/run.sh")
    script.mode, script.uid, script.uname, script.mtime = 0o4755, 1234, "alice", 99
    target = io.BytesIO()
    repack(io.BytesIO(forged([("big.bin", b"x" * 100_000), script], "top")), target, Order(directories=[]), Notes())
    with tarfile.open(fileobj=io.BytesIO(target.getvalue()), mode="r:gz") as tar:
        content = tar.extractfile("big.bin")
        assert content is not None
        assert content.read() == b"x" * 100_000
        kept = tar.getmember("run.sh")
        assert (kept.mode, kept.uid, kept.uname, kept.mtime) == (0o755, 0, "", 0)
        assert tar.getmember("big.bin").mode == 0o644


def test_a_part_has_its_directories_those_above_them_and_the_files_at_the_root() -> None:
    entries: list[Entry] = [
        ("versions.tf", b""),
        ("live", None),
        ("live/README.md", b""),
        ("live/prod", None),
        ("live/prod/main.tf", b""),
        ("live/prod-old/main.tf", b""),
        ("modules", None),
        ("modules/a", None),
        ("modules/a/main.tf", b""),
        ("modules/b", None),
        ("modules/b/main.tf", b""),
    ]
    names, notes = repacked(forged(entries), paths=["live/prod", "modules/a"], directories=("live/prod",))
    assert names == ["versions.tf", "live", "live/prod", "live/prod/main.tf", "modules", "modules/a", "modules/a/main.tf"]
    assert notes.there == notes.configured == ["live/prod"]


def test_links_stay_that_stay_inside_and_others_are_told_of() -> None:
    entries: list[Entry] = [
        ("a/in.tf", "-> ../common/in.tf"),
        ("a/self", "-> ."),
        ("up", "-> .."),
        ("a/out", "-> ../../etc/passwd"),
        ("absolute", "-> /etc/passwd"),
        ("a/round", "-> b/../../../x"),
    ]
    names, notes = repacked(forged(entries))
    assert names == ["a/in.tf", "a/self"]
    assert notes.links_out == ["up", "a/out", "absolute", "a/round"]


def test_pointers_of_lfs_and_submodules_are_told_of_and_kept_as_they_are() -> None:
    names, notes = repacked(forged([(".gitmodules", b"[submodule]"), ("vendored", None), ("image.bin", POINTER), ("main.tf", b"")]))
    assert names == [".gitmodules", "vendored", "image.bin", "main.tf"]
    assert (notes.lfs, notes.submodules) == (["image.bin"], True)


def test_devices_pipes_and_hard_links_are_left_out_and_told_of() -> None:
    odd = []
    for name, kind in (("device", tarfile.CHRTYPE), ("pipe", tarfile.FIFOTYPE), ("hard", tarfile.LNKTYPE)):
        member = tarfile.TarInfo(f"top/{name}")
        member.type, member.linkname = kind, "top/main.tf" if kind == tarfile.LNKTYPE else ""
        odd.append(member)
    names, notes = repacked(forged([("main.tf", b""), *odd], "top"))
    assert names == ["main.tf"]
    assert notes.odd == ["device", "pipe", "hard"]


def test_of_each_oddity_the_first_few_are_told() -> None:
    _, notes = repacked(forged([(f"link-{number}", "-> /") for number in range(50)]))
    assert len(notes.links_out) == 5


def test_a_working_directory_that_is_missing_or_has_no_configuration_is_known() -> None:
    entries: list[Entry] = [("docs", None), ("docs/a.md", b""), ("live/main.tf.json", b""), ("tofu/a.tofu", b""), ("x.tfvars", b"")]
    _, notes = repacked(forged(entries), directories=("docs", "live", "tofu", "missing", ""))
    assert notes.there == ["docs", "live", "tofu", ""]
    assert notes.configured == ["live", "tofu"]


def test_names_of_any_length_and_alphabet_are_kept() -> None:
    names = ["n" * 255 + "/" + "m" * 255, "ä/ö ü.tf", "with\nnewline", "-dash", "a:b*?.tf"]
    assert repacked(forged([(name, b"") for name in names]))[0] == names


def test_too_many_entries_and_too_many_bytes_are_refused() -> None:
    with pytest.raises(Refused, match=r"more than 3 files and directories \(limits\.archive_entries\)"):
        repacked(forged([(f"{number}.tf", b"") for number in range(4)]), entries=3)
    with pytest.raises(Refused, match=r"unpacks to more than 1 MiB \(limits\.unpacked_bytes\)"):
        repacked(forged([("a", b"x" * (1 << 20)), ("b", b"x")]), unpacked_bytes=1 << 20)


def test_what_is_not_wanted_counts_for_nothing() -> None:
    names, _ = repacked(forged([("big/a", b"x" * 4096), ("live/main.tf", b"")]), paths=["live"], unpacked_bytes=1024, entries=1)
    assert names == ["live/main.tf"]


def run(archive: bytes, order: Order) -> subprocess.CompletedProcess[bytes]:
    """The program."""
    command = [sys.executable, "-m", "terrapod_core.vcs.packing", msgspec.json.encode(order).decode()]
    return subprocess.run(command, input=archive, capture_output=True, check=False)


def test_the_program_writes_the_configuration_and_the_notes_behind_it() -> None:
    done = run(forged([("main.tf", b"a")]), Order(directories=[""]))
    assert (done.returncode, done.stderr) == (0, b"")
    (length,) = struct.unpack(">I", done.stdout[-4:])
    assert msgspec.json.decode(done.stdout[-4 - length : -4], type=Notes) == Notes(files=1, there=[""], configured=[""])
    with tarfile.open(fileobj=io.BytesIO(done.stdout[: -4 - length]), mode="r:gz") as tar:
        assert tar.getnames() == ["main.tf"]


WHOLE = forged([("main.tf", b"a" * 5000), ("other.tf", bytes(range(256)) * 400)])
HOSTILE = {
    "nothing": b"",
    "no gzip": b"<html>Sign in</html>",
    "gzip of no tar": gzip.compress(b"hello" * 1000),
    "cut short": WHOLE[: len(WHOLE) // 2],
    "without its end": WHOLE[:-4],
    "a wrong checksum": WHOLE[:-8] + b"\0" * 8,
    "a size that is a lie": gzip.compress(gzip.decompress(WHOLE)[:512]),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_whole_archive_is_refused_in_a_sentence(what: str) -> None:
    done = run(HOSTILE[what], Order(directories=[""]))
    assert (done.returncode, done.stderr.decode()) == (1, "what the forge sent is no whole gzip tar")


def test_a_bomb_is_refused_before_it_bursts() -> None:
    bomb = gzip.compress(_header("top/zeros", 64 << 20) + bytes(64 << 20), compresslevel=9)
    done = run(bomb, Order(directories=[""], unpacked_bytes=1 << 20))
    assert (done.returncode, done.stderr.decode()) == (1, "unpacks to more than 1 MiB (limits.unpacked_bytes)")


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf()
