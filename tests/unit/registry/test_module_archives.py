"""The zoo of module archives: what terraform can install is read, all else is refused with the reason, and nothing is written."""

from __future__ import annotations

import gzip
import io
import os
import re
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from terrapod_core.errors import Invalid
from terrapod_core.registry.contents.tree import ALL_BYTES, FILE_BYTES, Tree, is_licence, is_readme, read
from terrapod_core.tarballs import RATIO_FROM, ArchiveLimits
from tests.support.wire import archive, entry, packed

LIMITS = ArchiveLimits()
MAIN = entry("main.tf", b"locals {}\n")
Members = list[tuple[tarfile.TarInfo, bytes]]


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, kind=tarfile.SYMTYPE, target=target)


def tree(data: bytes, limits: ArchiveLimits = LIMITS) -> Tree:
    with nothing_written():
        return read(io.BytesIO(data), limits)


class Watch:
    """Sees what a process writes, makes and starts: an audit hook, which stays for good and is asked to look now and then."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.looks = False
        sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.looks and (event in MAKES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))):
            self.seen.append(f"{event} {arguments[0]!r}")


MAKES = {"os.mkdir", "os.symlink", "os.link", "os.rename", "os.remove", "os.chmod", "os.chown", "subprocess.Popen", "os.system"}
WATCH = Watch()


@contextmanager
def nothing_written() -> Iterator[None]:
    """Fails when what is inside writes a file, or makes or starts anything."""
    WATCH.seen.clear()
    WATCH.looks = True
    try:
        yield
    finally:
        WATCH.looks = False
    assert not WATCH.seen


def test_the_watch_sees_what_is_written(tmp_path: Path) -> None:
    with pytest.raises(AssertionError), nothing_written():
        (tmp_path / "a").write_text("x")


def test_a_module_at_the_root_is_read_as_it_is() -> None:
    found = tree(archive({"main.tf": "locals {}\n", "README.md": "hello", "scripts/run.sh": "exit\n", "modules/a/main.tf": ""}))
    assert found.wrapper == ""
    assert found.files == {"main.tf": b"locals {}\n", "README.md": b"hello", "modules/a/main.tf": b""}


def test_the_usual_wrapper_directory_is_found_and_left_out_of_paths() -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", pax_headers={"comment": "a" * 40}) as tar:  # as git archive, and GitHub, make one
        for member, content in (
            entry("terraform-aws-net-1.0.0/", kind=tarfile.DIRTYPE),
            entry("terraform-aws-net-1.0.0/main.tf", b"x"),
            entry("terraform-aws-net-1.0.0/LICENSE", b"y"),
        ):
            tar.addfile(member, io.BytesIO(content))
    found = tree(gzip.compress(raw.getvalue()))
    assert found.wrapper == "terraform-aws-net-1.0.0"
    assert found.files == {"main.tf": b"x", "LICENSE": b"y"}


def test_what_one_system_leaves_beside_a_wrapper_does_not_count() -> None:
    assert tree(archive({"m/main.tf": "", "._m": "", ".DS_Store": "", "__MACOSX/._m": ""})).wrapper == "m"


def test_a_dot_before_every_path_is_no_wrapper() -> None:
    assert tree(archive({"./main.tf": "", "./modules/a/main.tf": ""})) == Tree("", {"main.tf": b"", "modules/a/main.tf": b""}, {})


def test_a_module_that_has_only_submodules_is_one_wrapped_or_not() -> None:
    assert tree(archive({"modules/a/main.tf": ""})).wrapper == ""
    assert tree(archive({"iam/modules/a/main.tf": "", "iam/README.md": ""})).wrapper == "iam"


def test_a_module_in_json_or_of_opentofu_alone_is_one() -> None:
    for name in ("main.tf.json", "main.tofu", "main.tofu.json"):
        assert set(tree(archive({f"w/{name}": ""})).files) == {name}


WRONG_WRAPPERS: dict[str, tuple[dict[str, str | bytes], str]] = {
    "two directories": ({"a/main.tf": "", "b/main.tf": ""}, "no configuration at its root; the first is 'a/main.tf'"),
    "a file beside the directory": ({"a/main.tf": "", "README.md": ""}, "no configuration at its root; the first is 'a/main.tf'"),
    "two wrappers, one in the other": ({"a/b/main.tf": ""}, "no configuration at its root; the first is 'a/b/main.tf'"),
    "a name that terraform takes for a pattern": ({"m[1]/main.tf": ""}, "'m[1]', has characters"),
    "no configuration": ({"README.md": "hello"}, "there is no configuration in it"),
    "hidden configuration": ({".main.tf": ""}, "there is no configuration in it"),
    "examples alone": ({"examples/a/main.tf": ""}, "no configuration at its root; the first is 'examples/a/main.tf'"),
}


@pytest.mark.parametrize(("files", "says"), WRONG_WRAPPERS.values(), ids=WRONG_WRAPPERS.keys())
def test_what_terraform_would_find_no_module_in_is_refused(files: dict[str, str | bytes], says: str) -> None:
    with pytest.raises(Invalid, match=re.escape(says)) as refusal:
        tree(archive(files))
    assert refusal.value.code == "bad_archive"


HOSTILE: dict[str, tuple[Members, str]] = {
    "an absolute path": ([MAIN, entry("/etc/cron.d/x", b"x")], "the path '/etc/cron.d/x' leaves"),
    "a path that climbs": ([MAIN, entry("a/../../b", b"x")], "the path 'a/../../b' leaves"),
    "a hard link": ([MAIN, entry("b", kind=tarfile.LNKTYPE, target="main.tf")], "'b' is a hard link"),
    "a character device": ([MAIN, entry("null", kind=tarfile.CHRTYPE)], "'null' is a device"),
    "a block device": ([MAIN, entry("sda", kind=tarfile.BLKTYPE)], "'sda' is a device"),
    "a pipe": ([MAIN, entry("pipe", kind=tarfile.FIFOTYPE)], "'pipe' is a device, a pipe"),
    "a link to an absolute path": ([MAIN, link("key", "/etc/passwd")], "'key' -> '/etc/passwd' leaves"),
    "a link that climbs": ([MAIN, link("a/key", "../../key")], "'a/key' -> '../../key' leaves"),
    "a file below a link": ([MAIN, link("a", "b"), entry("a/x", b"x")], "in place of, or below, the symbolic link 'a'"),
    "configuration that is a link": ([MAIN, link("b.tf", "main.tf")], "'b.tf' is a symbolic link, and terraform unpacks"),
    "a name that is not UTF-8": ([MAIN, entry("\udcff.txt", b"x")], r"the name '\\xff.txt' is not UTF-8"),
    "a directory's name that is not UTF-8": ([MAIN, entry("d\udce9/x.txt", b"x")], "is not UTF-8"),
}


@pytest.mark.parametrize(("members", "says"), HOSTILE.values(), ids=HOSTILE.keys())
def test_what_could_leave_the_tree_or_not_be_unpacked_is_refused_by_name(members: Members, says: str) -> None:
    with pytest.raises(Invalid, match=re.escape(says)) as refusal:
        tree(tar_of(members))
    assert refusal.value.detail.startswith("the module archive is refused: ")


def tar_of(members: Members) -> bytes:
    """A tar.gz whose names may be any bytes."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape") as tar:
        for member, content in members:
            tar.addfile(member, io.BytesIO(content) if content else None)
    return gzip.compress(raw.getvalue())


def test_links_beside_the_configuration_are_accepted_and_not_followed() -> None:
    found = tree(packed([MAIN, link("docs/latest", "../main.tf"), link("README.md", "docs/latest")]))
    assert set(found.files) == {"main.tf"}


def test_a_bomb_is_refused_by_its_ratio() -> None:
    with pytest.raises(Invalid, match="more than 200 times its size"):
        tree(packed([MAIN, entry("zeros", bytes(RATIO_FROM * 2))]))


def test_a_bomb_is_refused_by_its_unpacked_size() -> None:
    noise = os.urandom(1 << 20)
    with pytest.raises(Invalid, match="unpacks to more than 1000000 bytes"):
        tree(packed([MAIN, entry("noise", noise)]), ArchiveLimits(unpacked_bytes=1_000_000))


def test_a_bomb_in_a_file_of_configuration_is_never_kept() -> None:
    found = tree(archive({"main.tf": b"\n" * (FILE_BYTES + 1), "ok.tf": b""}))
    assert found == Tree("", {"ok.tf": b""}, {"main.tf": "it is larger than 524288 bytes"})


def test_what_is_kept_of_one_archive_is_bounded() -> None:
    files = {f"f{number:02}.tf": os.urandom(FILE_BYTES // 2) * 2 for number in range(ALL_BYTES // FILE_BYTES + 2)}
    found = tree(archive(files))
    assert sum(map(len, found.files.values())) == ALL_BYTES
    assert list(found.unread) == ["f64.tf", "f65.tf"]


def many(count: int) -> bytes:
    return packed([MAIN, *(entry(f"files/{number}.txt") for number in range(count - 1))])


@pytest.mark.slow
def test_as_many_files_as_the_limit_has_are_accepted_and_one_more_is_refused() -> None:
    assert set(tree(many(100_000)).files) == {"main.tf"}
    with pytest.raises(Invalid, match="more than 100000 entries"):
        tree(many(100_001))


BROKEN: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "it is empty"),
    "a zip": (b"PK\x03\x04" + bytes(100), "not gzip-compressed"),
    "no tar": (gzip.compress(b"hello " * 200), "not a tar archive"),
    "half": (packed([MAIN])[:60], "cut short"),
}


@pytest.mark.parametrize(("data", "says"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_not_a_whole_archive_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        tree(data)


def test_a_path_that_is_there_twice_has_its_last_content_as_whoever_unpacks_it_finds() -> None:
    assert tree(packed([entry("main.tf", b"one"), entry("main.tf", b"two")])).files == {"main.tf": b"two"}


@pytest.mark.parametrize("name", ["README.md", "readme", "Readme.markdown", "README.txt"])
def test_a_readme_is_known_by_its_name(name: str) -> None:
    assert is_readme(name)
    assert not is_readme(f"not-{name}")


@pytest.mark.parametrize("name", ["LICENSE", "LICENCE.txt", "license.md", "COPYING", "LICENSE-APACHE", "UNLICENSE"])
def test_a_licence_is_known_by_its_name(name: str) -> None:
    assert is_licence(name)
    assert not is_licence(f"my-{name}")
